package main

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// A signpost is a proxy for HTTP that knows one host and no other, and leads requests
// for it to the server. It stands for the record in the DNS which that host has
// elsewhere.
type signpost struct {
	addr   string // host:port
	server *http.Server
	ended  chan struct{}
}

// startSignpost listens on a port of its own.
func startSignpost(host, target string) (*signpost, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &signpost{addr: l.Addr().String(), ended: make(chan struct{})}
	s.server = &http.Server{Handler: leadTo(host, target), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.ended)
		_ = s.server.Serve(l) // until stop
	}()
	return s, nil
}

func (s *signpost) stop() {
	_ = s.server.Close()
	<-s.ended
}

// leadTo answers what a proxy is asked. Nobody is there under TLS.
func leadTo(host, target string) http.Handler {
	there := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: target})
		r.Out.Host = r.In.Host
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect || r.URL.Host != host {
			http.Error(w, "no such host", http.StatusBadGateway)
			return
		}
		there.ServeHTTP(w, r)
	})
}
