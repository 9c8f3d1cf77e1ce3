package testenv

import (
	"context"
	_ "embed"
	"fmt"
	"path/filepath"
)

//go:embed sabredav/server.php
var sabreServer []byte

//go:embed sabredav/adduser.php
var sabreAddUser []byte

// StartSabreDAV starts sabre/dav 1.8 under PHP's own web server, with its data in dir. The home is /calendars/alice/.
// It has no sync-collection, so it stands for the servers that can be followed by ctag and ETag only.
func StartSabreDAV(ctx context.Context, dir string) (*DAV, error) {
	port, base, err := onePort()
	if err != nil {
		return nil, err
	}
	server, adduser := filepath.Join(dir, "server.php"), filepath.Join(dir, "adduser.php")
	if err := writeFiles(map[string]string{server: string(sabreServer), adduser: string(sabreAddUser)}); err != nil {
		return nil, err
	}
	add := func(ctx context.Context, name, password string) error {
		return run(ctx, command{argv: []string{"php", adduser, name, password}, dir: dir})
	}
	for name, password := range map[string]string{User: Password, User2: Password2} {
		if err := add(ctx, name, password); err != nil {
			return nil, err
		}
	}
	d := &DAV{Kind: "sabredav", URL: base, User: User, Password: Password, Home: "/calendars/" + User + "/"}
	d.newUser = func(ctx context.Context, name string) error { return add(ctx, name, Password) }
	return d.serve(ctx, dir, command{
		argv: []string{"php", "-d", "opcache.enable_cli=0", "-S", fmt.Sprintf("127.0.0.1:%d", port), server},
		dir:  dir, env: []string{"PHP_CLI_SERVER_WORKERS=4"},
	})
}
