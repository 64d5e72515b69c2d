// vcsim serves VMware's vCenter simulator (govmomi) on loopback: the smallest main that the library needs.
//
// It prints one JSON line when it listens, and serves until it is killed.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8989", "address to serve on")
	vms := flag.Int("vms", 200, "virtual machines in all, at least one a cluster")
	clusters := flag.Int("clusters", 4, "clusters")
	hosts := flag.Int("hosts", 3, "hosts in each cluster")
	datastores := flag.Int("datastores", 2, "datastores")
	user := flag.String("user", "", "the only user that may sign in (default: anyone)")
	password := flag.String("password", "", "password of -user")
	delay := flag.Int("delay", 0, "delay of every call, in milliseconds")
	flag.Parse()

	model := simulator.VPX()
	model.Cluster = *clusters
	model.ClusterHost = *hosts
	model.Host = 0
	model.Datastore = *datastores
	model.Machine = *vms / *clusters
	model.DelayConfig.Delay = *delay
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	model.Service.Listen = &url.URL{Host: *listen}
	if *user != "" {
		model.Service.Listen.User = url.UserPassword(*user, *password)
	}
	certificate, err := newCertificate()
	if err != nil {
		log.Fatal(err)
	}
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server := model.Service.NewServer()

	ready := map[string]interface{}{
		"url":    "https://" + server.URL.Host + "/sdk",
		"sha256": fmt.Sprintf("%x", sha256.Sum256(certificate.Certificate[0])),
		"vms":    model.Count().Machine,
		"hosts":  model.Count().Host,
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		log.Fatal(err)
	}
	select {}
}

// newCertificate signs a certificate for itself. The library's own has an RSA key of 1024 bits, which today's TLS
// stacks refuse.
func newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "vcsim"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(365 * 24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
