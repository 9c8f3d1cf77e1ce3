// Package cluster runs the real calcdc on three real brokers, with relays before them, while seeded faults befall
// workers, brokers and connections and seeded histories go on at the calendars. At every quiet moment the oracle judges.
// Its tests are integration tests: make integration; make chaos and make soak run longer.
package cluster
