package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// overlay writes the mutant's files, on top of the replay command's, and returns the name of the list of both.
func (m mutant) overlay(dir, replay string) (string, error) {
	o := struct{ Replace map[string]string }{map[string]string{}}
	if replay != "" {
		b, err := os.ReadFile(replay)
		if err == nil {
			err = json.Unmarshal(b, &o)
		}
		if err != nil {
			return "", err
		}
	}
	top, err := os.Getwd()
	if err != nil {
		return "", err
	}
	texts, err := m.apply(top)
	if err != nil {
		return "", err
	}
	for file, text := range texts {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		o.Replace[filepath.Join(top, file)] = to
	}
	b, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}

// apply makes the mutant's edits to the tree at top, and returns the texts by file.
func (m mutant) apply(top string) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range m.edits {
		if _, ok := texts[e.file]; !ok {
			b, err := os.ReadFile(filepath.Join(top, e.file))
			if err != nil {
				return nil, err
			}
			texts[e.file] = string(b)
		}
		if n := strings.Count(texts[e.file], e.old); n != 1 {
			return nil, fmt.Errorf("%s has %q %d times, not once: the table needs to be looked at", e.file, e.old, n)
		}
		texts[e.file] = strings.Replace(texts[e.file], e.old, e.now, 1)
	}
	return texts, nil
}
