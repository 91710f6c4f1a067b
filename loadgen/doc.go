// Package loadgen generates load and measures it.
//
// A Plan says what to do: Phases of load, either Users (closed model: each
// waits for its answer, thinks, and goes on) or a Rate (open model: arrivals
// that wait for nobody), and Journeys of Steps. Attack carries it out; one
// loop serves both models.
//
// Every request has three times: Intended, when the plan has it start; Sent,
// when the generator began it; Done, when the answer was there: on Linux, over
// HTTP/1.1 without TLS, by the kernel's clock, so that a generator that is slow
// to wake up and read adds nothing. A user's next request is due from then on. Response = Done - Intended is what a user
// feels and the default everywhere; Service = Done - Sent is what the target
// took; Lag = Sent - Intended is how late the generator was, and says whether
// the measurement can be trusted (Result.Check). A request that fell due and
// could not be sent is counted, never left out: planned = sent + unsent, and
// sent = completed + failed + in flight, at every moment.
//
// Results come merged once a second (Options.OnSecond) and as a whole
// (Result): histograms of 3 digits with exact extremes and sums, counts by
// error class, and the exchanges that were kept, with their weights.
//
// Requests travel as Plan.Transport says, over connections that belong to
// loadgen: it knows what each part of an exchange took, and sends nothing
// twice.
//
// The package knows HTTP, W3C trace context and nothing else of the world: no
// telemetry SDK, no flags, no files but those that a plan names.
package loadgen
