package loadgen

import (
	"fmt"
	"net/netip"
	"syscall"
)

// GuardDial makes of a guard what net.Dialer.Control wants: it is asked for
// the address that is about to be connected to, whatever name led there. Nil
// stays nil.
func GuardDial(guard func(netip.AddrPort) error) func(network, address string, c syscall.RawConn) error {
	if guard == nil {
		return nil
	}
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address %q: %w", address, err)
		}
		return guard(to)
	}
}

func (d *dialer) guard(guard func(netip.AddrPort) error) { d.dialer.Control = GuardDial(guard) }
