package main

import (
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/calcdc/calcdc/internal/config"
)

// openGoogle refuses Google sources until sources/google is there.
func openGoogle(_ *config.Config, s *config.Source, _ hclog.Logger) (*upstream, error) {
	return nil, fmt.Errorf("setting up %s: Google sources cannot be read yet", s.Name)
}
