package testenv

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

//go:embed kafka/pom.xml
var pom []byte

//go:embed requirements.txt
var requirements []byte

// programs are what the machine needs besides Go, with the Debian packages that bring them.
var programs = map[string]string{"java": "openjdk-17-jre-headless", "mvn": "maven", "git": "git"}

// servers are the Debian packages of the CalDAV servers, and what they run on.
var servers = []string{
	"radicale", "xandikos", "davical", "postgresql", "apache2", "libapache2-mod-php", "php-cli", "php-pgsql", "php-xml",
	"php-curl", "php-sabre-dav", "php-sqlite3", "php-mbstring", "python3-venv",
}

// CacheDir holds what is downloaded once: ${CALCDC_TEST_CACHE:-~/.cache/calcdc-test}.
func CacheDir() (string, error) {
	if dir := os.Getenv("CALCDC_TEST_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache directory: %w (or set CALCDC_TEST_CACHE)", err)
	}
	return filepath.Join(home, ".cache", "calcdc-test"), nil
}

// InstallPackages installs the Debian packages that are missing, as root; another user gets an error that names them.
// No installed server is started.
func InstallPackages(ctx context.Context) error {
	missing := missingPackages(ctx)
	if len(missing) == 0 {
		return nil
	}
	install := "apt-get install --no-install-recommends " + strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return fmt.Errorf("packages are missing, and only root on Debian can install them here: %s", install)
	}
	return aptInstall(ctx, missing)
}

func missingPackages(ctx context.Context) []string {
	var missing []string
	for program, name := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	for _, name := range servers {
		out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f=${Status}", name).Output()
		if err != nil || !strings.HasSuffix(string(out), "ok installed") {
			missing = append(missing, name)
		}
	}
	return missing
}

func aptInstall(ctx context.Context, names []string) error {
	const policy = "/usr/sbin/policy-rc.d" // 101: Debian must not start the servers
	if f, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755); err == nil {
		_, _ = f.WriteString("#!/bin/sh\nexit 101\n")
		_ = f.Close()
		defer os.Remove(policy)
	}
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	install := command{argv: append([]string{"apt-get", "install", "-y", "-qq", "--no-install-recommends"}, names...), env: env}
	if run(ctx, install) == nil {
		return nil
	}
	if err := run(ctx, command{argv: []string{"apt-get", "update", "-qq"}, env: env}); err != nil {
		return err
	}
	return run(ctx, install)
}

// KafkaJars returns the directory of the Kafka artifacts, downloading them with Maven where they are not cached.
func KafkaJars(ctx context.Context) (string, error) {
	return cached("kafka", pom, func(dir string) error {
		file := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(file, pom, 0o644); err != nil {
			return err
		}
		return run(ctx, command{argv: []string{"mvn", "-q", "-B", "-Dstyle.color=never", "-f", file,
			"dependency:copy-dependencies", "-DoutputDirectory=" + dir, "-DincludeScope=runtime"}})
	})
}

// Python returns an interpreter that has the pinned requirements of the oracles, making a virtual environment
// where none is cached.
func Python(ctx context.Context) (string, error) {
	dir, err := cached("python", requirements, func(dir string) error {
		file := filepath.Join(dir, "requirements.txt")
		if err := os.WriteFile(file, requirements, 0o644); err != nil {
			return err
		}
		if err := run(ctx, command{argv: []string{"python3", "-m", "venv", filepath.Join(dir, "venv")}}); err != nil {
			return err
		}
		return run(ctx, command{argv: []string{filepath.Join(dir, "venv", "bin", "python"), "-m", "pip", "install", "-q",
			"--only-binary", ":all:", "-r", file}})
	})
	return filepath.Join(dir, "venv", "bin", "python"), err
}

// cached returns CacheDir/name-<hash of recipe>. Where it is absent, fill fills it; it is named as complete only
// then, so that an interrupted download is never taken for a finished one. Processes take turns.
func cached(name string, recipe []byte, fill func(dir string) error) (string, error) {
	root, err := CacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(recipe)
	dir := filepath.Join(root, fmt.Sprintf("%s-%x", name, sum[:4]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the cache: %w", err)
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	complete := filepath.Join(dir, ".complete")
	if _, err := os.Stat(complete); err == nil {
		return dir, nil
	}
	if err := fill(dir); err != nil {
		return "", fmt.Errorf("filling %s: %w", dir, err)
	}
	return dir, os.WriteFile(complete, nil, 0o644)
}

func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}
