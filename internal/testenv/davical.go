package testenv

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
)

//go:embed davical/*
var davicalFiles embed.FS

const davicalPath = "/davical/caldav.php"

// davical is a DAViCal with a PostgreSQL of its own, which listens on a socket in its directory only.
type davical struct {
	// Dir, Host and the rest are what the configuration files need.
	Dir, Socket, Host, Modules, PHP string
	Port                            int

	bin      string // of PostgreSQL
	postgres *syscall.Credential
	database *Process
	config   string // DAViCal chooses its configuration by host name
}

// StartDAViCal starts DAViCal with its data in dir; it must be root. The home is /davical/caldav.php/alice/. What it
// has forgotten it does not say: it answers a dead token with the full list, without deletions.
func StartDAViCal(ctx context.Context, dir string) (*DAV, error) {
	s, err := newDavical(dir)
	if err != nil {
		return nil, fmt.Errorf("starting davical: %w", err)
	}
	if err := errors.Join(s.startDatabase(ctx), s.configure()); err != nil {
		s.stop()
		return nil, fmt.Errorf("starting davical: %w", err)
	}
	for name, password := range map[string]string{User: Password, User2: Password2} {
		if err := s.addUser(ctx, name, password); err != nil {
			s.stop()
			return nil, fmt.Errorf("starting davical: %w", err)
		}
	}
	d := s.dav(fmt.Sprintf("http://%s:%d%s/", s.Host, s.Port, davicalPath))
	d.close = s.stop
	httpd := filepath.Join(dir, "httpd.conf")
	return d.serve(ctx, dir, command{argv: []string{"/usr/sbin/apache2", "-d", dir, "-f", httpd, "-DFOREGROUND"}})
}

// OpenDAViCal returns the DAViCal that another process started in dir, at url.
func OpenDAViCal(dir, url string) (*DAV, error) {
	s, err := newDavical(dir)
	if err != nil {
		return nil, fmt.Errorf("opening davical: %w", err)
	}
	return s.dav(url), nil
}

func (s *davical) dav(url string) *DAV {
	return &DAV{
		Kind: "davical", URL: url, User: User, Password: Password, Home: davicalPath + "/" + User + "/",
		Tokens: true, Silent: true,
		newUser: func(ctx context.Context, name string) error { return s.addUser(ctx, name, Password) },
		invalidate: func(ctx context.Context, collection string) error {
			return s.sql(ctx, "forget.sql", "name="+strings.TrimPrefix(collection, davicalPath))
		},
	}
}

func newDavical(dir string) (*davical, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("only root can: it needs users of its own")
	}
	s := &davical{Dir: dir, Socket: filepath.Join(dir, "sock"), Modules: "/usr/lib/apache2/modules"}
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	php, _ := filepath.Glob(s.Modules + "/libphp*.so")
	if len(bins) == 0 || len(php) == 0 {
		return nil, errors.New("PostgreSQL or Apache's PHP module is not installed")
	}
	s.bin, s.PHP = bins[len(bins)-1], php[len(php)-1]
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	s.postgres = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return s, nil
}

// startDatabase makes a cluster, starts it and loads DAViCal's schema.
func (s *davical) startDatabase(ctx context.Context) error {
	data := filepath.Join(s.Dir, "pg")
	for _, dir := range []string{data, s.Socket} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chown(dir, int(s.postgres.Uid), int(s.postgres.Gid)); err != nil {
			return err
		}
	}
	if err := run(ctx, s.asPostgres(filepath.Join(s.bin, "initdb"), "-D", data, "-A", "trust", "-E", "UTF8",
		"--locale=C", "--no-sync")); err != nil {
		return err
	}
	serve := s.asPostgres(filepath.Join(s.bin, "postgres"), "-D", data, "-k", s.Socket, "-c", "listen_addresses=",
		"-c", "unix_socket_permissions=0777", "-c", "fsync=off", "-c", "synchronous_commit=off",
		"-c", "full_page_writes=off", "-c", "max_connections=100")
	serve.stop = syscall.SIGINT
	var err error
	if s.database, err = startProcess("postgres", s.Dir, serve); err != nil {
		return err
	}
	err = s.database.await(ctx, func(ctx context.Context) error {
		return run(ctx, s.asPostgres("psql", "-h", s.Socket, "-XAtc", "select 1", "template1"))
	})
	if err != nil {
		return err
	}
	create := s.asPostgres("/usr/share/davical/dba/create-database.sh", "davical", "admin")
	create.env = []string{"PGHOST=" + s.Socket, "DBAOPTS=--dbhost " + s.Socket}
	return run(ctx, create)
}

func (s *davical) asPostgres(argv ...string) command {
	return command{argv: argv, dir: "/", cred: s.postgres}
}

// configure chooses an address and writes the configuration of Apache and of DAViCal. The latter is found by the
// name of the host, so each instance has an address of the loopback net for itself.
func (s *davical) configure() error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	s.Port, s.Host = ports[0], fmt.Sprintf("127.%d.%d.%d", 64+rand.N(64), rand.N(256), 1+rand.N(254))
	s.config = "/etc/davical/" + s.Host + "-conf.php"
	for name, path := range map[string]string{
		"davical-conf.php": s.config, "httpd.conf": filepath.Join(s.Dir, "httpd.conf"),
	} {
		t, err := template.ParseFS(davicalFiles, "davical/"+name)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, s); err != nil {
			return err
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(s.Dir, "mime.types"), []byte("text/html html\n"), 0o644)
}

func (s *davical) addUser(ctx context.Context, name, password string) error {
	return s.sql(ctx, "adduser.sql", "name="+name, "password="+password)
}

// sql runs a file of statements, with variables.
func (s *davical) sql(ctx context.Context, file string, variables ...string) error {
	statements, err := davicalFiles.ReadFile("davical/" + file)
	if err != nil {
		return err
	}
	argv := []string{"-h", s.Socket, "-U", "postgres", "-Xq", "-v", "ON_ERROR_STOP=1"}
	for _, v := range variables {
		argv = append(argv, "-v", v)
	}
	cmd := exec.CommandContext(ctx, "psql", append(argv, "davical")...)
	cmd.Dir, cmd.Stdin = "/", bytes.NewReader(statements)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.postgres}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running %s: %w: %s", file, err, out)
	}
	return nil
}

func (s *davical) stop() {
	if s.config != "" {
		_ = os.Remove(s.config)
	}
	if s.database != nil && s.database.cmd != nil && s.database.cmd.Process != nil {
		s.database.Kill()
	}
}
