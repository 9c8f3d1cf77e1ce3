package googleserver

import (
	"net/http"
	"sync"
	"time"
)

// Quota limits requests in a sliding window. 0: no limit. Google's defaults are 600 a minute for a user and 10,000 for
// a project. Every request that is not refused counts as one.
type Quota struct {
	PerUser    int
	PerProject int
	Window     time.Duration // 0: a minute
	// Status refuses what is too much: 403 (0), with userRateLimitExceeded or rateLimitExceeded, or 429.
	Status     int
	RetryAfter time.Duration // sent with the refusal; 0: none is sent
}

// meter is a quota's books.
type meter struct {
	Quota
	mu      sync.Mutex
	users   map[string][]time.Time
	project []time.Time
}

// spend counts a request, or says why it is too much. A quotaUser takes the user's place, as Google documents it.
func (s *Server) spend(rq Request) *Error {
	who := rq.URL.Query().Get("quotaUser")
	if who == "" {
		who = rq.User
	}
	return s.quota.spend(who, rq.Time)
}

// SetQuota puts another quota in place; what has been counted stays counted.
func (s *Server) SetQuota(q Quota) {
	s.quota.mu.Lock()
	defer s.quota.mu.Unlock()
	s.quota.Quota = q
}

func (m *meter) spend(user string, now time.Time) *Error {
	m.mu.Lock()
	defer m.mu.Unlock()
	window := m.Window
	if window == 0 {
		window = time.Minute
	}
	if m.users == nil {
		m.users = map[string][]time.Time{}
	}
	m.users[user] = recent(m.users[user], now.Add(-window))
	m.project = recent(m.project, now.Add(-window))
	switch {
	case m.PerUser > 0 && len(m.users[user]) >= m.PerUser:
		return m.refusal(UserRateLimitExceeded)
	case m.PerProject > 0 && len(m.project) >= m.PerProject:
		return m.refusal(RateLimitExceeded)
	}
	if m.PerUser > 0 {
		m.users[user] = append(m.users[user], now)
	}
	if m.PerProject > 0 {
		m.project = append(m.project, now)
	}
	return nil
}

func (m *meter) refusal(e *Error) *Error {
	if m.Status == http.StatusTooManyRequests {
		e = TooManyRequests
	}
	answer := *e
	answer.RetryAfter = m.RetryAfter
	return &answer
}

// recent drops the times up to since.
func recent(times []time.Time, since time.Time) []time.Time {
	n := 0
	for n < len(times) && !times[n].After(since) {
		n++
	}
	return times[n:]
}
