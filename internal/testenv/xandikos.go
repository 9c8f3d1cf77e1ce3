package testenv

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
)

// StartXandikos starts Xandikos with its data in dir. It asks for no password and has one user, whose home is
// /alice/calendars/. A collection is a git repository and a token the id of a tree, so the token of the content as it
// stands never dies; one of an earlier state does when its tree is pruned.
func StartXandikos(ctx context.Context, dir string) (*DAV, error) {
	port, base, err := onePort()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	d := &DAV{
		Kind: "xandikos", URL: base, User: User, Password: Password,
		Home: "/" + User + "/calendars/", Tokens: true,
	}
	d.invalidate = func(ctx context.Context, collection string) error {
		d.Kill() // it keeps packs open
		if err := forgetHistory(ctx, filepath.Join(data, collection)); err != nil {
			return err
		}
		return d.Start(ctx)
	}
	return d.serve(ctx, dir, command{argv: []string{
		"xandikos", "-d", data, "--current-user-principal", "/" + User + "/", "--defaults",
		"-l", "127.0.0.1", "-p", strconv.Itoa(port),
	}})
}

// forgetHistory replaces the history of a repository by one commit of the tree that it holds.
func forgetHistory(ctx context.Context, repository string) error {
	const script = `set -e
git update-ref HEAD "$(git commit-tree -m all "HEAD^{tree}")"
git reflog expire --expire=now --expire-unreachable=now --all
git prune --expire=now`
	env := []string{
		"GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@localhost", "GIT_COMMITTER_NAME=test",
		"GIT_COMMITTER_EMAIL=test@localhost", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}
	return run(ctx, command{argv: []string{"sh", "-c", script}, dir: repository, env: env})
}
