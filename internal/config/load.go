package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// Load reads, completes and validates the file. Its error, where the file could be read, is Faults: everything that
// is wrong, at once. Paths in the file, and in ${file:PATH}, that are relative start at the file's folder.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return read(data, path, os.LookupEnv)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, Faults{{File: path, Message: "there is no such file; name it with --config, or begin with one from configs/"}}
	}
	if err != nil {
		return nil, Faults{{Message: fmt.Sprintf("opening the configuration: %v", err)}}
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, Faults{{Message: fmt.Sprintf("reading the configuration: %v", err)}}
	}
	return data, nil
}

// read is Load without the file; the file's name stands in faults.
func read(data []byte, path string, lookup func(string) (string, bool)) (*Config, error) {
	c := Default()
	c.dir = filepath.Dir(path)
	faults := c.decode(data, lookup)
	for i := range faults {
		faults[i].File = path
	}
	if err := faults.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) decode(data []byte, lookup func(string) (string, bool)) Faults {
	root, fault := parse(data)
	if fault != nil {
		return Faults{*fault}
	}
	d := decoder{lines: map[string]int{}, written: map[string]string{}, expand: expander{dir: c.dir, lookup: lookup}.expand}
	d.value(root, reflect.ValueOf(c).Elem(), "", "")
	c.lines, c.written = d.lines, d.written
	c.complete()
	faults := d.faults
	for _, f := range c.faults() {
		if !covered(d.faults, f.Key) {
			faults = append(faults, f)
		}
	}
	return faults
}

// covered says that key, or what it stands in, or what stands in it, could not be read: what it lacks is then a
// consequence.
func covered(faults Faults, key string) bool {
	for _, f := range faults {
		if within(key, f.Key) || within(f.Key, key) {
			return true
		}
	}
	return false
}

func within(inner, outer string) bool {
	rest, ok := strings.CutPrefix(inner, outer)
	return ok && outer != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// complete fills in what follows from other keys.
func (c *Config) complete() {
	if c.Kafka.TopicPrefix == "" {
		c.Kafka.TopicPrefix = c.Name
	}
	if c.State.Dir != "none" {
		c.State.Dir = inDir(c.dir, c.State.Dir)
	}
	c.Kafka.TLS.CAFile = inDir(c.dir, c.Kafka.TLS.CAFile)
	c.Kafka.TLS.CertFile = inDir(c.dir, c.Kafka.TLS.CertFile)
	c.Kafka.TLS.KeyFile = inDir(c.dir, c.Kafka.TLS.KeyFile)
	for _, s := range c.Sources {
		if s.CalDAV != nil {
			s.CalDAV.complete(c.dir)
		}
		if s.Google != nil {
			s.Google.complete(c.dir)
		}
	}
}

func (c *CalDAV) complete(dir string) {
	c.TLS.CAFile = inDir(dir, c.TLS.CAFile)
	for j := range c.Accounts {
		if a := &c.Accounts[j]; a.Name == "" {
			a.Name = a.Username
		}
	}
}
