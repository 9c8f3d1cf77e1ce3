package connector

// IDs is a set of ids that holds their hashes: some 26 bytes each, however long they are. That two ids have one hash is as unlikely
// as that two contents have.
type IDs map[Hash]struct{}

// Add puts an id in.
func (s IDs) Add(id string) { s[hashOfID(id)] = struct{}{} }

// Has tells whether an id is in.
func (s IDs) Has(id string) bool {
	_, ok := s[hashOfID(id)]
	return ok
}

// Remove takes an id out.
func (s IDs) Remove(id string) { delete(s, hashOfID(id)) }

func hashOfID(id string) Hash { return HashOf([]byte(id)) }
