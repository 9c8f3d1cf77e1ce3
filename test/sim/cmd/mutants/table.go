package main

// mutant is the code without one of its rules.
type mutant struct {
	name  string // of the rule, and what is done to it
	edits []edit
	test  string // package and pattern of the tests of which one must fail; "": the simulation
	hangs bool   // that what plays it does not end counts as caught
}

// edit replaces a text that stands once in a file.
type edit struct{ file, old, now string }

const (
	pass     = "connector/pass.go"
	sweep    = "connector/sweep.go"
	diff     = "connector/diff.go"
	builder  = "connector/builder.go"
	follow   = "connector/follow.go"
	account  = "connector/account.go"
	home     = "connector/home.go"
	envelope = "connector/envelope.go"
	ledger   = "offsets/ledger.go"
)

// The mutants, by invariant and rule of ARCHITECTURE.md.
var mutants = []mutant{
	{name: "1: each record in a transaction of its own", edits: []edit{{ledger, "offsets, err := l.p.Commit(ctx, b.records)\n",
		"offsets, err := func() (all []int64, err error) {\n\t\tfor i := range b.records {\n\t\t\to, err := l.p.Commit(ctx, b.records[i:i+1])\n\t\t\tif err != nil {\n\t\t\t\treturn nil, err\n\t\t\t}\n\t\t\tall = append(all, o...)\n\t\t}\n\t\treturn all, nil\n\t}()\n"}}},
	{name: "1: an offset without the state of its page", edits: []edit{{builder, "	b.tx.Resources = append(b.tx.Resources, ResourceChange{ID: id, State: out.state})\n", ""}}},
	{name: "2: the token of an answer that ended early", edits: []edit{{pass, `return Page{}, fmt.Errorf("polling %s: the answer ended early", p.cp.Stream)`,
		"return Page{Token: q.Token, Last: true, Listing: q.Token == \"\"}, nil"}}, test: "./connector TestAnswersThatSayTooLittle"},
	{name: "2: the token of a pass in which bodies were refused", edits: []edit{{pass, "if p.held.count > 0 {", "if false {"}}},
	{name: "2: the token moves with the first page", edits: []edit{{pass, "		if !page.Last {\n			continue\n		}\n", "		if !page.Last && len(page.Resources) == 0 {\n			continue\n		}\n"}}},
	{name: "3: what a listing leaves out is not looked at", edits: []edit{{sweep, "func(at Presence) bool { return at != Gone }", "func(at Presence) bool { return at == Forbidden }"}}, test: "./connector TestListingThatLeavesOutWhatIsThere"},
	{name: "3: one look proves that a collection is gone", edits: []edit{{account, "goneAfterPolls = 2", "goneAfterPolls = 1"}}},
	{name: "3: what is forbidden is gone", edits: []edit{{account, "goneAfter403   = time.Hour", "goneAfter403   = time.Second"}}, test: "./connector TestForbiddenCollectionGoesAfterAnHour"},
	{name: "3: an answer that fails deletes", edits: []edit{{pass, "		if err != nil {\n			return Page{}, fmt.Errorf(\"polling %s: %w\", p.cp.Stream, err)\n		}\n",
		"		if err != nil && q.Token != \"\" {\n			return Page{}, fmt.Errorf(\"polling %s: %w\", p.cp.Stream, err)\n		}\n		page.Last = page.Last || err != nil\n"},
		{sweep, "func(at Presence) bool { return at != Gone }", "func(at Presence) bool { return at == Forbidden }"}}},
	{name: "4: the end of a log is believed", edits: []edit{
		{ledger, "	if err := l.catchUp(ctx, ends, began); err != nil {", "	ends[0], _ = l.r.End(ctx, Topic(l.cfg.Name), l.cfg.Partition)\n	ends[1], _ = l.r.End(ctx, StateTopic(l.cfg.Name), l.cfg.Partition)\n	ends[0], ends[1] = ends[0]-1, ends[1]-1\n	if err := l.catchUp(ctx, ends, began); err != nil {"},
		{"offsets/position.go", "	if last != end {", "	if last < 0 && last > end {"}}},
	{name: "4: loading without fencing again", edits: []edit{{ledger, "	if err := l.p.Fence(ctx); err != nil {", "	if l.state.next > 0 {\n	} else if err := l.p.Fence(ctx); err != nil {"}}},
	{name: "4: an idle owner does not look whether it still is one", edits: []edit{{"connector/run.go", "		if overtaken {", "		if overtaken && false {"}}, test: "./connector TestIdleOwnerNoticesThatItWasOvertaken"},
	{name: "5: no marker before a re-snapshot", edits: []edit{{builder, "		b.tx.Records = b.env.mark(*p.mark)\n", ""}}},
	{name: "5: the partition is chosen again", edits: []edit{{builder, "partition: b.state.Partition,", "partition: int32(b.state.Commit) % 2,"}}},
	{name: "5: the end before the last deletions", edits: []edit{{pass, "	b, err := p.sweep(ctx, last.Listing || compared)\n", "	if p.snap && p.mark == nil {\n		early := p.begin()\n		early.end()\n		early.state.Phase = Snapshot\n		early.tx.State = &early.state\n		if err := p.submit(ctx, early); err != nil {\n			return err\n		}\n	}\n	b, err := p.sweep(ctx, last.Listing || compared)\n"}}},
	{name: "5: an end that counts resources", edits: []edit{{builder, "Count: b.state.Rows}", "Count: b.state.Resources}"}}},
	{name: "5: an epoch that does not rise", edits: []edit{{builder, "		b.state.Epoch++\n", ""}}},
	{name: "6: what cannot be had is skipped", edits: []edit{{"connector/weigh.go", "return diffUnread(v, true, res.Rows, p.kept), nil", "return diffUnread(v, true, nil, p.kept), nil"}}, test: "./connector TestBodyRefusedDoesNotHoldTheRest"},
	{name: "6: what cannot be published is dropped", edits: []edit{{ledger, "		return b.refusal(large)\n", "		return nil\n"}}, test: "./offsets TestFencedAndRefused"},
	{name: "7: a failed commit is tried again in place", edits: []edit{{ledger, "	if err == nil && len(offsets) != len(b.records) {", "	if err != nil && l.p.Fence(ctx) == nil {\n		offsets, err = l.p.Commit(ctx, b.records)\n	}\n	if err == nil && len(offsets) != len(b.records) {"}}},
	{name: "7: after a failed commit nothing is loaded", edits: []edit{{follow, "	return errors.Is(err, ErrDoubt) || errors.As(err, &commit) && !errors.As(err, &refused)\n", "	return false && errors.As(err, &commit) && errors.As(err, &refused)\n"}}, test: "./connector TestUnknownOutcomeLoadsAgain"},
	{name: "7: an owner in doubt that has nothing to commit goes on", edits: []edit{{"connector/run.go", "if errors.Is(err, ErrDoubt) {", "if false {"}}, test: "./connector TestIdleOwnerInDoubtLoadsAgain"},
	{name: "7: the fold goes on behind what is in doubt", edits: []edit{{ledger, "	l.doubt = fmt.Errorf(", "	l.state.next += 2\n	l.doubt = fmt.Errorf("}}},
	{name: "7: the lane commits behind a failure", edits: []edit{{"connector/lane.go", "		if l.failure() == nil {", "		if true {"}}, test: "./connector TestLaneCommitsNothingBehindAFailure"},
	{name: "8: what fails is not tried again", edits: []edit{{follow, "	for !at.IsZero() || !f.rest() {", "	for !f.rest() {"}}, test: "./connector TestFailingStreamIsTriedWithBackoff"},
	{name: "10: a shutdown cancels a transaction", edits: []edit{{"sinks/kafka/transaction.go", "context.WithTimeout(context.WithoutCancel(ctx), commitDeadline)", "context.WithTimeout(ctx, commitDeadline)"}}, test: "./sinks/kafka TestOnlyACallerThatWaitsCanLeave"},

	{name: "sweep: the epoch decides a deletion", edits: []edit{{sweep, "	for id := range p.cp.Index.Resources() {\n		if !p.seen.Has(id) && !yield(id) {", "	for id, k := range p.cp.Index.Resources() {\n		if k.Epoch != p.state.Epoch && !p.seen.Has(id) && !yield(id) {"}}},
	{name: "snapshots go on: what is of this epoch is published again", edits: []edit{{diff, "if sameBytes && (!v.snapshot && !v.brief || v.known.Epoch == v.epoch) {", "if sameBytes && !v.snapshot && !v.brief {"},
		{diff, "	case v.snapshot && !(same && v.known.Epoch == v.epoch):", "	case v.snapshot:"}}},
	{name: "snapshots go on: each attempt is a reset", edits: []edit{{pass, "	if p.state.Phase == Snapshot {\n		return p.snapshot(ctx, nil)", "	if p.state.Phase == Snapshot {\n		return p.snapshot(ctx, &marker{Type: markReset, Reason: reasonTokenInvalid})"}}},
	{name: "removal: the offset stays", edits: []edit{{"connector/remove.go", "b.tx.Forget, b.state.Phase = true, Removing", "b.state.Phase = Removing"}}},
	{name: "removal: a collection that is back goes on with its token", edits: []edit{{pass, "	case p.state.Phase == Removing, p.state.Phase == RemovedAll:", "	case p.state.Phase == Removing && false:"}}},
	{name: "removal: it counts as emptied though it is back", edits: []edit{{follow, "f.emptied = f.gone //", "f.emptied = true //"}}, test: "./connector TestCollectionBackForAMomentIsRemovedAgain"},
	{name: "removal: what only the store knows is left", edits: []edit{{account, "mine && !there && h.source.follows(s.Kind) && h.known(s)", "mine && !there && false"}}, test: "./connector TestCollectionThatOnlyTheStoreKnowsIsRemoved"},
	{name: "silent forgetting: a suspect delta is believed", edits: []edit{{pass, "if suspect && q.Token", "if false && q.Token"}}, test: "./connector TestSilentForgettingIsComparedFully"},
	{name: "silent forgetting: suspicion never ends", edits: []edit{{pass, "trustAfter  = 3", "trustAfter  = 1 << 30"}}, test: "./connector TestSuspicionEndsAfterThreeComparisons"},
	{name: "ETags lie: every comparison believes them", edits: []edit{{pass, "p.state.Compares%7 != 6", "p.state.Compares%7 != 7"}}, test: "./connector TestEverySeventhReconcileReadsBodies"},
	{name: "ETags lie: a reset believes them", edits: []edit{{pass, "return !ok || k.Epoch != epoch || differs(k, etag)", "return !ok || differs(k, etag)"}}},
	{name: "a body that cannot be had: it is not asked for again", edits: []edit{{diff, "	next.Unknown = v.known.Unknown || unknown\n", ""}}},
	{name: "a body that cannot be had: it holds the rest for ever", edits: []edit{{"connector/weigh.go", "p.refusals[res.ID] < giveUpAfter {", "p.refusals[res.ID] < 1<<30 {"}}, test: "./connector TestBodyRefusedDoesNotHoldTheRest"},
	{name: "storms: every dead token is a reset", edits: []edit{{pass, "	if p.tokenDied(time.UnixMilli(p.prior.CommittedMs)) {", "	if false {"}}, test: "./connector TestTokensThatDieYoung"},
	{name: "hint: it counts as seen though it moved during the pass", edits: []edit{{follow, "	f.note(s)\n", "	f.beyond = time.Time{}\n	f.note(f.sees())\n"}}, test: "./connector TestHintThatMovesDuringAPass"},
	{name: "hint: it counts as seen though the pass failed", edits: []edit{{follow, "		f.looked = false // what the pass", "		f.seen, f.looked = s.hint.Value, true // what the pass"}}},
	{name: "hint: a time proves that nothing changed", edits: []edit{{follow, "	f.again = s.young || !s.asked.After(f.beyond)\n", "	f.again = false && s.young || !s.asked.After(f.beyond)\n"}}, test: "./connector TestCoarseHint"},
	{name: "hint: a time that was looked at once more proves it, however soon that was", edits: []edit{{follow, " || time.Since(f.since) < f.want.Coarse)", ")"}}, test: "./connector TestCoarseHint"},
	{name: "hint: a time is looked at once where that was late enough", edits: []edit{{follow, "(!f.looked || f.want.Value != f.seen || time.Since(f.since) < f.want.Coarse)", "(time.Since(f.since) < f.want.Coarse)"}}, test: "./connector TestCoarseHintIsLookedAtOnceMore"},
	{name: "hint: one that comes again proves that nothing changed", edits: []edit{{follow, "	f.again = s.young || !s.asked.After(f.beyond)\n", "	f.again = s.young || false && !s.asked.After(f.beyond)\n"}}, test: "./connector TestHintThatComesAgain"},
	{name: "hint: one look clears the doubt, whenever it comes", edits: []edit{{follow, "	f.again = s.young || !s.asked.After(f.beyond)\n", "	f.again, f.beyond = s.young || !s.asked.After(f.beyond), time.Time{}\n"}}, test: "./connector TestHintThatIsOutrun"},
	{name: "hint: a pass that failed has not outrun it", edits: []edit{{follow, "(err != nil || f.token() != s.hint.Value)", "(err == nil && f.token() != s.hint.Value)"}}, test: "./connector TestHintThatAFailedPassHasOutrun"},
	{name: "hint: missed and shown again during a pass, it counts as seen", edits: []edit{{follow, "	if !f.listed || f.missed != s.missed {\n", "	if !f.listed {\n"}}, test: "./connector TestHintOfAMissedCollectionIsNotSeen"},
	{name: "hint: it says all, whatever the configuration", edits: []edit{{follow, "f.again || f.hash != f.configHash ||", "f.again ||"}}, test: "./connector TestAnotherConfigurationWhileItRuns"},
	{name: "hint: it survives that the home missed the collection", edits: []edit{{follow, "	f.listed, f.looked = false, false // back", "	f.listed = false // back"}}, test: "./connector TestMissedCollectionIsLookedAtAgain"},
	{name: "children: they stay when their parent goes", edits: []edit{{sweep, "	orphans, err := p.orphans(ctx)\n	return slices.Values(orphans), err\n", "	return slices.Values[[]string](nil), nil\n"}}},
	{name: "children: they go unseen with their parent", edits: []edit{{sweep, "			if at == Gone {\n", "			if at == Gone || at == Read {\n"}}, test: "./connector TestChildrenOfTheSameDelta"},
	{name: "collections by deltas: there is no list after a start", edits: []edit{{pass, "case err == nil && p.home != nil && p.home.listed == nil:", "case false:"}}},
	{name: "collections by deltas: what is removed stays listed", edits: []edit{{home, "			delete(h.listed, res.ID)\n", ""}}},
	{name: "resets: what the home misses stays in the old epoch", edits: []edit{{sweep, "	for _, id := range p.home.missing {", "	for _, id := range p.home.missing[:0] {"}}},
	{name: "a missing index: fewer rows than it says", edits: []edit{{"offsets/refuse.go", "	case rows != st.state.Rows:", "	case false:"}}, test: "./offsets TestLosses"},
	{name: "a missing index: no record of the stream", edits: []edit{{"offsets/refuse.go", "	case st.state == nil && st.offset != nil:", "	case false:"}}, test: "./offsets TestLosses"},

	{name: "a missing index: a data topic that is shorter than it was", edits: []edit{{"offsets/refuse.go", "	case end < st.dataEnd:", "	case false:"}}, test: "./offsets TestLosses|TestShortCommit"},
	{name: "cache: it is gone on from in a topic that is another", edits: []edit{{"offsets/position.go", "	case rec.Offset == want.Offset && printOf", "	case false && printOf"}}, test: "./offsets TestCacheIsDiscarded"},
	{name: "cache: it is gone on from in a topic that was cut", edits: []edit{{ledger, "	if ends[0] < l.offsets.next || ends[1] < l.state.next {", "	if false {"}}, test: "./offsets TestCacheIsDiscarded"},
	{name: "cache: what may still land counts as folded", edits: []edit{{"offsets/cached.go", "		low = [2]int64{min(low[0], other.offsets), min(low[1], other.state)}\n", ""}}, test: "./offsets TestCacheCountsNothingInFlight"},
	{name: "cache: one of other topics is trusted", edits: []edit{{"offsets/shelf.go", "	case is != want:", "	case false:"}}, test: "./offsets TestCacheIsDiscarded"},
	{name: "cache: one whose manifest was cut is opened", edits: []edit{{"offsets/internal/kv/kv.go", "	if err := visible(db); err != nil {", "	if err := visible(db); err != nil && false {"}}, test: "./offsets/internal/kv TestCutManifest"},
	{name: "lost topics: a data topic that is shorter, or not there, is not noticed", edits: []edit{{"offsets/refuse.go", "	case end < 0:", "	case false:"}, {"offsets/refuse.go", "	case end < st.dataEnd:", "	case false:"}}},
	{name: "lost topics: a commit's own records do not count for how long a topic was", edits: []edit{{"offsets/batch.go", "	return b.known[tx.Stream] + b.grown[tx.Stream]\n", "	return b.known[tx.Stream]\n"}}, test: "./offsets TestOneCommitOfALostTopic"},
	{name: "lost topics: the rows are not put together again", edits: []edit{{"offsets/mend.go", "r.readNotifications, r.readData, r.tidy, r.end}", "r.readNotifications, r.tidy, r.end}"}}},
	{name: "lost topics: epochs begin again", edits: []edit{{"offsets/mend.go", "max(state.Epoch, m.epoch), m.due", "state.Epoch, m.due"}}, test: "./offsets TestRebuild|TestLosses|TestBothTopicsLost"},
	{name: "lost topics: streams without an offset are forgotten with the state", edits: []edit{{"offsets/recall.go", "known && !l.recordLost(s) {", "known {"}}, test: "./offsets TestStreamThatTheStateAloneKnew"},
	{name: "lost topics: one that is missing is made anew only where something was in it", edits: []edit{{ledger, "if l.cfg.Missing == nil || l.cfg.Partitions == nil || !l.cfg.Missing(err) {", "if true {"}}, test: "./offsets TestMissingTopicIsReplaced"},
	{name: "lost topics: an owner goes on from topics that were made anew", edits: []edit{{"offsets/cached.go", "	l.offsets.doubt()\n	l.state.doubt()\n", ""}}, test: "./offsets TestTopicsMadeAnewBeneathAnOwner"},
	{name: "at_least_once: the offset comes before the records", edits: []edit{{"offsets/steps.go", "state.Pending, state.DataEnd = true,", "state.Pending, state.DataEnd = false,"}}, test: "./offsets TestSteps"},

	{name: "signals: what was heeded is not kept", edits: []edit{{builder, "			b.state.Signal = p.heard\n", ""}}},
	{name: "signals: none is heeded by a stream that follows its token", edits: []edit{{pass, "	case p.asked():", "	case false:"}}},
	{name: "signals: a snapshot in progress begins anew", edits: []edit{{"connector/heed.go", "t.cp.State.Phase == Streaming && t.wanted", "t.wanted"}}, test: "./connector TestSignalInTheMiddleOfASnapshot"},
	{name: "signals: what comes while a pass runs counts as heeded by it", edits: []edit{{builder, "		if p.heard != nil &&", "		p.heard = p.listen()\n		if p.heard != nil &&"}}, test: "./connector TestSignalDuringAListing"},
	{name: "guard: the first look is believed", edits: []edit{{"connector/guard.go", "	return p.doubt(m, of)\n", "	return believed\n"}}, test: "./connector TestTooManyDeletesOfAResetAreHeld"},
	{name: "guard: the second look comes at once", edits: []edit{{"connector/guard.go", "	if again && time.Since(p.watch.since) >= guard.ConfirmAfter {", "	if again {"}, {"connector/guard.go", "t.watch == nil || guard == nil || time.Since(t.watch.since) >= guard.ConfirmAfter", "t.watch == nil || guard != nil"}}, test: "./connector TestTooManyDeletesOfAResetAreHeld|TestMoreThatVanishes"},
	{name: "guard: the token of a listing that is held is committed", edits: []edit{{pass, "	if p.stays() {", "	if false {"}}},
	{name: "guard: what is refused goes at the next listing", edits: []edit{{"connector/guard.go", "	return rule == RefuseDeletes || hold != nil && hold.Kept && rule != ApproveDeletes\n", "	return rule == RefuseDeletes && hold != nil\n"}}, test: "./connector TestRefusalOfAReset|TestRefusalEndsWhenAllIsBack"},
	{name: "guard: a new epoch leaves out what is kept", edits: []edit{{sweep, "	if p.verdict == kept && p.snap && !p.brief && !p.stays() {", "	if false {"}}, test: "./connector TestRefusalOfAReset"},
	{name: "fencing: what was fenced takes the partition back at once", edits: []edit{{"connector/run.go", "		if errors.Is(err, ErrFenced) {", "		if errors.Is(err, ErrFenced) && false {"}}, test: "./connector TestFencedAndGone|TestTwoOwnersDoNotFenceEachOtherInALoop"},
	{name: "storms: one dead token counts each time that it is found dead", edits: []edit{{"connector/task.go", "	if t.token() == t.dead {", "	if false {"}}, test: "./connector TestOneDeadTokenIsNoStorm"},

	{name: "ids: a change that comes again has the id that it had", edits: []edit{{envelope, "strconv.AppendInt(append(b, 0), e.commit, 10)", "append(b, 0)"}}},
	{name: "ids: those of two kinds are one", edits: []edit{{envelope, "	b = append(append(b, e.stream.Kind...), 0)\n", ""}}},
	{name: "ops: what is known is created", edits: []edit{{diff, "	case !known:\n		return opCreate", "	case true:\n		return opCreate"}}},
	{name: "ops: what has not changed is updated", edits: []edit{{diff, "	case !same:\n		return opUpdate", "	case true:\n		return opUpdate"}}},
	{name: "tombstones: none follows", edits: []edit{{envelope, "	if c.op == opDelete && e.cfg.Tombstones {", "	if false {"}}},
	{name: "a member that stands twice in an answer is compared with what is committed", edits: []edit{{pass, "		if again {\n", "		if false {\n"}}},
	{name: "committed reading: records of aborted transactions", edits: []edit{{"sinks/kafka/fetch.go", "	return !transactional || !f.active[producer]\n", "	return true\n"}}},
	{name: "committed reading: an abort hides what follows", edits: []edit{{"sinks/kafka/fetch.go", "	if abort {\n", "	if false {\n"}}},
	{name: "producing: a sequence that does not move", edits: []edit{{"sinks/kafka/transaction.go", "	t.advance()\n", ""}}},
	{name: "producing: after doubt the next transaction goes on", edits: []edit{{"sinks/kafka/producer.go", "		p.stop(err)\n", ""}, {ledger, "	l.fail(err)\n	return errors.Join(fmt.Errorf(\"committing", "	return errors.Join(fmt.Errorf(\"committing"}, {follow, "	return errors.Is(err, ErrDoubt) || errors.As(err, &commit) && !errors.As(err, &refused)\n", "	return false && errors.As(err, &commit) && errors.As(err, &refused)\n"}}},
	{name: "sharing: what was taken away runs on", edits: []edit{{"connector/share.go", "					h.ours = false\n					h.stop()\n", "					h.ours = false\n"}}, test: "./connector TestAssignmentStartsAndStopsOwners"},
}
