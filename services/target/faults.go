package target

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/taillight-load/taillight/services/target/faults"
)

// mostFaultBytes bounds the body of PUT /faults: every knob fits in it.
const mostFaultBytes = 16 << 10

// showFaults answers with the faults that are armed.
func (o Options) showFaults(w http.ResponseWriter, _ *http.Request) {
	if o.noShop(w) {
		return
	}
	answerJSON(w, http.StatusOK, o.Shop.Armed())
}

// armFaults puts those of the body in their place, and begins a new log.
func (o Options) armFaults(w http.ResponseWriter, r *http.Request) {
	if o.noShop(w) {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostFaultBytes))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		refuseFaults(w, "the body is too long: 16 KiB hold every knob")
		return
	case err != nil:
		return // the client has gone
	}
	var set faults.Set
	if err = set.UnmarshalJSON(body); err == nil {
		err = o.Shop.Arm(set)
	}
	if err != nil {
		refuseFaults(w, err.Error())
		return
	}
	answerJSON(w, http.StatusOK, set)
}

// disarmFaults ends all faults. Their log stays.
func (o Options) disarmFaults(w http.ResponseWriter, _ *http.Request) {
	if o.noShop(w) {
		return
	}
	o.Shop.Disarm()
	w.WriteHeader(http.StatusNoContent)
}

// faultLog answers with whom what befell since the last arming.
func (o Options) faultLog(w http.ResponseWriter, _ *http.Request) {
	if o.noShop(w) {
		return
	}
	answerJSON(w, http.StatusOK, o.Shop.Book())
}

func (o Options) noShop(w http.ResponseWriter) bool {
	if o.Shop == nil {
		http.Error(w, "this service was made without faults", http.StatusNotFound)
	}
	return o.Shop == nil
}

func refuseFaults(w http.ResponseWriter, why string) {
	answerJSON(w, http.StatusBadRequest, map[string]string{"error": "faults: " + why})
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only when the client has gone
}
