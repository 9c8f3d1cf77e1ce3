package offsets

import (
	"context"
	"fmt"

	"github.com/calcdc/calcdc/connector"
)

// Resources shows every record of a stream's resources, in the order of the log, up to the end that the broker reports: a later one of an
// id replaces an earlier one, and nil says that the resource was removed. partitions is how many the state has.
func Resources(ctx context.Context, r Reader, name string, partitions int32, s connector.Stream, visit func(id string, state *connector.ResourceState)) error {
	keys := &stateKeys{}
	return list(ctx, r, StateTopic(name), connector.AccountPartition(s.Source, s.Account, partitions), func(key, value []byte) error {
		e, of, id, err := keys.parse(key)
		if err != nil {
			return fmt.Errorf("the key: %w", err)
		}
		if e != resourceEntity || of != s {
			return nil
		}
		if value == nil {
			visit(id, nil)
			return nil
		}
		state, err := parseResource(id, string(value))
		if err != nil {
			return fmt.Errorf("the value: %w", err)
		}
		visit(id, &state)
		return nil
	})
}
