// go-http: fifty goroutines fetch from a server of the same program over loopback while the garbage collector
// works. Go's scheduler interrupts busy threads with SIGURG every 10 ms, and its socket calls must stand that.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	clients  = 50
	requests = 20
	bodySize = 64 << 10
)

var count, failed int

// ok prints one check in TAP.
func ok(passed bool, format string, args ...any) {
	count++
	word := "ok"
	if !passed {
		word = "not ok"
		failed++
	}
	fmt.Printf("%s %d - %s\n", word, count, fmt.Sprintf(format, args...))
}

// fetch gets one body over a connection of its own, and makes garbage.
func fetch(client *http.Client, url string) error {
	reply, err := client.Get(url)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err == nil && len(body) != bodySize {
		err = fmt.Errorf("body of %d bytes", len(body))
	}
	return err
}

// press keeps a processor busy with allocations until stop is closed.
func press(stop chan struct{}) {
	var garbage [][]byte
	for {
		select {
		case <-stop:
			return
		default:
			garbage = append(garbage, make([]byte, 16<<10))
			if len(garbage) > 256 {
				garbage = nil
				runtime.Gosched()
			}
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(err == nil, "listen: %v", err)
	if err != nil {
		os.Exit(1)
	}
	body := make([]byte, bodySize)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	url := "http://" + listener.Addr().String() + "/"
	stop := make(chan struct{})
	go press(stop)
	var good atomic.Int64
	var last atomic.Value
	var group sync.WaitGroup
	for i := 0; i < clients; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < requests; j++ {
				if err := fetch(client, url); err != nil {
					last.Store(err.Error())
				} else {
					good.Add(1)
				}
			}
		}()
	}
	group.Wait()
	close(stop)
	ok(good.Load() == clients*requests, "%d of %d requests served (last error: %v)", good.Load(), clients*requests, last.Load())
	fmt.Printf("1..%d\n", count)
	if failed > 0 {
		os.Exit(1)
	}
}
