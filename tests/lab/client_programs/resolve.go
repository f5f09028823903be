// SPDX-License-Identifier: Apache-2.0

// Go's own resolver as an application calls it, timed. usage: resolve NAME TIMES [PORT]; see README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

type seen struct {
	Error     *string  `json:"error"`
	Us        float64  `json:"us"`
	Addresses []string `json:"addresses"`
	Connect   int      `json:"connect"`
}

// The errno of a connect to the address at once, 0 if it worked.
func reach(address, port string) int {
	connection, err := net.Dial("tcp", net.JoinHostPort(address, port))
	if err == nil {
		connection.Close()
		return 0
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return int(number)
	}
	return -1
}

func lookUp(name, port string) seen {
	start := time.Now()
	addresses, err := net.DefaultResolver.LookupHost(context.Background(), name)
	result := seen{Us: float64(time.Since(start).Nanoseconds()) / 1000, Addresses: addresses}
	if err != nil {
		text := err.Error()
		result.Error = &text
	} else if port != "" {
		result.Connect = reach(addresses[len(addresses)-1], port)
	}
	return result
}

func main() {
	if len(os.Args) < 3 {
		os.Exit(2)
	}
	port := ""
	if len(os.Args) > 3 {
		port = os.Args[3]
	}
	times, _ := strconv.Atoi(os.Args[2])
	for ; times > 0; times-- {
		json.NewEncoder(os.Stdout).Encode(lookUp(os.Args[1], port))
	}
}
