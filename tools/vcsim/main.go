// vcsim serves VMware's vCenter simulator (govmomi) on loopback: the smallest main that the library needs.
//
// It prints one JSON line when it listens, and serves until it is killed.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"

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
	model.Service.TLS = new(tls.Config)
	server := model.Service.NewServer()

	certificate := server.TLS.Certificates[0].Certificate[0]
	ready := map[string]interface{}{
		"url":    "https://" + server.URL.Host + "/sdk",
		"sha256": fmt.Sprintf("%x", sha256.Sum256(certificate)),
		"vms":    model.Count().Machine,
		"hosts":  model.Count().Host,
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		log.Fatal(err)
	}
	select {}
}
