package testenv

import (
	"os"
	"sync/atomic"
	"time"
)

// portSeed numbers the ports tried; processes begin at different ones.
var portSeed = func() *atomic.Uint32 {
	var s atomic.Uint32
	s.Store(uint32(os.Getpid())*31 + uint32(time.Now().UnixNano()%10007))
	return &s
}()

// userNumber differs in every call of every process.
func userNumber() int64 { return time.Now().UnixNano() }
