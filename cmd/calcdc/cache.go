package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/internal/config"
	"github.com/calcdc/calcdc/offsets"
	"github.com/calcdc/calcdc/sinks/kafka"
)

// openCache opens the local cache of the state; nil: the configuration wants none, or commits in steps, whose intents only memory holds.
func openCache(c *config.Config, log hclog.Logger) *offsets.Cache {
	if c.State.Dir == "none" || atLeastOnce(c) {
		return nil
	}
	dir := c.State.Dir
	if dir == "" {
		dir = cacheDir()
	}
	if dir == "" {
		log.Warn("there is no place for a local cache of the state: it is kept in memory, and read from Kafka at each start; set state.dir")
		return nil
	}
	return offsets.OpenCache(offsets.CacheConfig{Dir: dir, Name: c.Name, Memory: int64(c.State.Cache)}, log.Named("cache"))
}

// cacheDir is where caches are kept when nothing else is said: as systemd says, or where the user's are; "" where there is neither. Among
// the temporary files others could make it before us.
func cacheDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("CACHE_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "calcdc")
	}
	return ""
}

// watchCache ends the process where the cache's disk hangs, until stop is called: what waits for it can be ended in no other way, and the group
// would take the process for well.
func watchCache(cache *offsets.Cache, log hclog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := cache.Hung(ctx); err != nil {
			log.Error("ending at once: nothing can go on here, and other workers can", "error", err)
			exit(exitFailed)
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

func closeCache(cache *offsets.Cache, log hclog.Logger) {
	if cache == nil {
		return
	}
	if err := cache.Close(); err != nil {
		log.Warn("the local cache of the state will be read from Kafka again", "error", err)
	}
}

// identify tells the internal topics from others of the same names.
func identify(c *config.Config, client *kafka.Client) func(context.Context) (offsets.Identity, error) {
	return func(ctx context.Context) (offsets.Identity, error) {
		o, err := client.Identify(ctx, offsets.Topic(c.Name))
		if err != nil {
			return offsets.Identity{}, err
		}
		s, err := client.Identify(ctx, offsets.StateTopic(c.Name))
		if err != nil {
			return offsets.Identity{}, err
		}
		return offsets.Identity{Cluster: s.Cluster, Offsets: o.Topic, State: s.Topic, Retention: min(o.Deletes, s.Deletes)}, nil
	}
}
