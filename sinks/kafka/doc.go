// Package kafka publishes exactly once and reads what was committed, on segmentio/kafka-go, which has neither
// transactions nor committed reading of its own (its issues #233, #797, #897).
//
//	client, err := kafka.New(kafka.Config{Brokers: brokers}, log)
//	producer := client.NewProducer("team-cal-3")
//	err = producer.Fence(ctx)                       // earlier owners of the id can commit no more
//	offsets, err := producer.Commit(ctx, []connector.Record{barrier})
//	for rec, err := range client.Read(ctx, topic, 3, 0, offsets[0]+1) { … }
//	offsets, err = producer.Commit(ctx, records)    // whole or not at all
//
// Fencing comes before loading and a barrier record before reading (Invariant 4): a broker that lost its leadership
// without knowing reports an end that is too early. After any error of Commit that is not a *connector.TooLargeError
// the outcome is unknown (Invariant 7): Fence again, commit a barrier, and fold on from where the fold stopped.
//
// Record batches are encoded and decoded here (KIP-98, message format v2): kafka-go's own reader hides where a batch
// ends, without which an empty end of a compacted partition cannot be passed, and its writer knows no producer id.
// Connections, routing to leaders and coordinators, TLS, SASL, codecs and all other requests are kafka-go's.
package kafka
