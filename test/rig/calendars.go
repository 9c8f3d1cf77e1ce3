package rig

import (
	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/test/oracle"
)

// Listed is what a user's calendars hold, as the oracle wants it.
func Listed(s *davserver.Server, user string) map[string]oracle.Collection {
	all := map[string]oracle.Collection{}
	for _, name := range s.Calendars(user) {
		p, _ := s.Calendar(user, name)
		held := oracle.Collection{Name: p.DisplayName, Resources: map[string]string{}}
		for object, body := range s.List(user, name) {
			held.Resources[object] = string(body)
		}
		all[s.Path(user, name)] = held
	}
	return all
}
