package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func metadataAnswer() []byte {
	res := kmsg.NewPtrMetadataResponse()
	res.Version = metadataVersion
	cluster := "cluster-1"
	res.ClusterID = &cluster
	rack := "r"
	for i := range int32(3) {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = i, "broker.example.org", 9092
		if i == 1 {
			b.Rack = &rack
		}
		res.Brokers = append(res.Brokers, b)
	}
	t := kmsg.NewMetadataResponseTopic()
	name := "team-state"
	t.Topic, t.TopicID = &name, [16]byte{1, 2, 15: 3}
	t.Partitions = append(t.Partitions, kmsg.NewMetadataResponseTopicPartition())
	res.Topics = append(res.Topics, t)
	return res.AppendTo([]byte{0, 0, 0, 1, 0})
}

func TestTopicID(t *testing.T) {
	got, err := parseTopicID(metadataAnswer())
	if err != nil || got.err != nil || got.cluster != "cluster-1" || got.id != "01020000000000000000000000000003" {
		t.Errorf("got %+v, %v", got, err)
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Version = metadataVersion
	sent := (&topicIDRequest{topic: "team-state", clientID: "me"}).encode()
	if err := req.ReadFrom(sent[4+2+2+4+2+len("me")+1:]); err != nil || len(req.Topics) != 1 || *req.Topics[0].Topic != "team-state" || req.AllowAutoTopicCreation {
		t.Errorf("sent %+v, %v", req, err)
	}
}

func FuzzTopicID(f *testing.F) {
	f.Add(metadataAnswer())
	f.Add([]byte{0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(_ *testing.T, body []byte) {
		_, _ = parseTopicID(body)
	})
}
