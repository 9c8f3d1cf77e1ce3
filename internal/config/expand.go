package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const maxSecretFile = 64 << 10

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expander replaces references in values.
type expander struct {
	dir    string                           // where relative paths of ${file:…} start
	lookup func(name string) (string, bool) // os.LookupEnv
}

// expand replaces in text, once and without looking into what it put there:
//
//	${NAME}            the environment variable; an error where it is unset
//	${NAME:-default}   the default where it is unset or empty
//	${file:PATH}       the file's content without its last line end
//	$${                the two characters ${
//
// Any other $ stands for itself. Errors name the reference, never a value. Errors are joined.
func (x expander) expand(text string) (string, error) {
	var out strings.Builder
	var errs []error
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			out.WriteString(text)
			return out.String(), errors.Join(errs...)
		}
		if strings.HasSuffix(before, "$") {
			out.WriteString(before + "{")
			text = rest
			continue
		}
		out.WriteString(before)
		ref, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", errors.Join(append(errs, errors.New("${ without its }; write $${ where ${ itself is meant"))...)
		}
		value, err := x.resolve(ref)
		if err != nil {
			errs = append(errs, err)
		}
		out.WriteString(value)
		text = after
	}
}

func (x expander) resolve(ref string) (string, error) {
	if path, ok := strings.CutPrefix(ref, "file:"); ok {
		return x.file(path)
	}
	name, fallback, hasFallback := strings.Cut(ref, ":-")
	if !envName.MatchString(name) {
		return "", fmt.Errorf("${%s} is not ${NAME}, ${NAME:-default} or ${file:PATH}; write $${ where ${ itself is meant", ref)
	}
	value, ok := x.lookup(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !ok:
		return "", fmt.Errorf("${%s} is not set; set the environment variable, or write ${%s:-default}", name, name)
	}
	return value, nil
}

func (x expander) file(path string) (string, error) {
	f, err := os.Open(inDir(x.dir, path))
	if err != nil {
		return "", fmt.Errorf("reading ${file:%s}: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("reading ${file:%s}: %w", path, err)
	}
	if len(b) > maxSecretFile {
		return "", fmt.Errorf("${file:%s} is longer than %d bytes", path, maxSecretFile)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

// inDir makes path, where it is relative, start at dir.
func inDir(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
