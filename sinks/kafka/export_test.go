package kafka

// Waiting is how many calls of Commit wait for their transaction.
func (p *Producer) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}
