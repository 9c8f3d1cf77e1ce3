//go:build integration || soak

package cluster

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/test/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m, func() error { return goleak.Find() })) }
