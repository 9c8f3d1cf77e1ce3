package kafka

import (
	"cmp"
	"encoding/json"
	"slices"

	kafkago "github.com/segmentio/kafka-go"
)

// claim is what a member says of itself when it joins: what it holds, and since which generation of the group.
type claim struct {
	Generation int32   `json:"generation"`
	Partitions []int32 `json:"partitions"`
}

// sticky is kafka-go's GroupBalancer that leaves partitions where they are: each member keeps what it holds, up to an even share.
// Where two claim a partition, e.g. because one was paused when it was taken away, the claim of the later generation holds.
type sticky struct {
	topic      string
	partitions int32
	claim      func() claim
}

// ProtocolName is what all members must agree on.
func (sticky) ProtocolName() string { return "calcdc-sticky" }

// UserData travels to the member that balances.
func (s sticky) UserData() ([]byte, error) { return json.Marshal(s.claim()) }

// AssignGroups divides the partitions. Their number is fixed, so what the broker says of the topic is not asked for.
func (s sticky) AssignGroups(members []kafkago.GroupMember, _ []kafkago.Partition) kafkago.GroupMemberAssignments {
	claims := map[string]claim{}
	for _, m := range members {
		var c claim
		if json.Unmarshal(m.UserData, &c) != nil {
			c = claim{} // a member of another make claims nothing
		}
		claims[m.ID] = c
	}
	all := kafkago.GroupMemberAssignments{}
	for id, partitions := range balance(claims, s.partitions) {
		all[id] = map[string][]int{s.topic: partitions}
	}
	return all
}

// balance gives each member its share of n partitions: as many as every other, or one more, and as few as can be that it did not hold.
func balance(claims map[string]claim, n int32) map[string][]int {
	held := make([]string, n) // the member that holds a partition
	for id, c := range claims {
		for _, p := range c.Partitions {
			if p >= 0 && p < n && outbids(claims, id, held[p]) {
				held[p] = id
			}
		}
	}
	shares := map[string][]int{}
	for id := range claims {
		shares[id] = []int{}
	}
	for p, id := range held {
		if id != "" {
			shares[id] = append(shares[id], p)
		}
	}
	// Those that hold the most get the one more, where it is theirs already.
	order := make([]string, 0, len(claims))
	for id := range claims {
		order = append(order, id)
	}
	slices.SortFunc(order, func(a, b string) int { return cmp.Or(len(shares[b])-len(shares[a]), cmp.Compare(a, b)) })
	quota := func(i int) int { return (int(n) + len(order) - 1 - i) / len(order) }
	for i, id := range order {
		for _, p := range shares[id][min(len(shares[id]), quota(i)):] {
			held[p] = ""
		}
		shares[id] = shares[id][:min(len(shares[id]), quota(i))]
	}
	at := 0
	for p, id := range held {
		if id != "" || len(order) == 0 {
			continue
		}
		for len(shares[order[at]]) == quota(at) {
			at++
		}
		shares[order[at]] = append(shares[order[at]], p)
	}
	return shares
}

// outbids tells whether the claim of a member holds against another's: the later one, and of equals always the same.
func outbids(claims map[string]claim, id, other string) bool {
	if other == "" {
		return true
	}
	return cmp.Or(cmp.Compare(claims[id].Generation, claims[other].Generation), cmp.Compare(other, id)) > 0
}
