package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// writePackage makes an NPM-style package of resources by file name.
func writePackage(t *testing.T, file, name string, resources map[string]string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	add := func(name, body string) {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Name: "package/" + name, Mode: 0o644, Size: int64(len(body)), Typeflag: tar.TypeReg}))
		_, e := w.Write([]byte(body))
		err = errors.Join(err, e)
	}
	add("package.json", fmt.Sprintf(`{"name":%q,"version":"1.0.0"}`, name))
	for name, body := range resources {
		add(name, body)
	}
	if err := errors.Join(err, w.Close(), z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Profiles and value sets of a package count in $validate and in searches; what is not what was pinned ends the start.
func TestPackagesCount(t *testing.T) {
	dir := t.TempDir()
	writePackage(t, filepath.Join(dir, "hospital-1.0.0.tgz"), "hospital", map[string]string{
		"vs.json": `{"resourceType":"ValueSet","url":"http://hospital.example/ValueSet/m","status":"active","compose":{"include":[{"system":"http://hl7.org/fhir/administrative-gender","concept":[{"code":"male"}]}]}}`,
		"sd.json": `{"resourceType":"StructureDefinition","url":"http://hospital.example/StructureDefinition/p","name":"P","status":"active","kind":"resource","abstract":false,"type":"Patient",
			"baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","derivation":"constraint","differential":{"element":[{"id":"Patient.birthDate","path":"Patient.birthDate","min":1}]}}`,
	})
	p := startServer(t, t.TempDir(), "--packages", dir)
	post := func(path, body string) string {
		resp, err := http.Post("http://"+p.http+path, "application/fhir+json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, gender := range []string{"male", "female"} {
		post("/fhir/Patient", fmt.Sprintf(`{"resourceType":"Patient","gender":%q}`, gender))
	}
	if n := p.count(t, "Patient?gender:in=http://hospital.example/ValueSet/m"); n != 1 {
		t.Errorf("%d patients have a gender of the package's value set, want 1", n)
	}
	if out := post("/fhir/Patient/$validate?profile=http://hospital.example/StructureDefinition/p", `{"resourceType":"Patient","gender":"male"}`); !strings.Contains(out, "birthDate") || !strings.Contains(out, `"error"`) {
		t.Errorf("the package's profile needs a birthDate: %s", out)
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // what it wrote is read when it has ended
	if !strings.Contains(p.log.String(), "hospital") {
		t.Errorf("the package is not told:\n%s", p.log)
	}
	if err := os.WriteFile(filepath.Join(dir, "packages.sha256"), []byte(strings.Repeat("0", 64)+"  hospital-1.0.0.tgz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(name, "--listen", "127.0.0.1:0", "--mllp", "off", "--data", t.TempDir(), "--packages", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "hospital-1.0.0.tgz") || !strings.Contains(string(out), "SHA-256") {
		t.Errorf("another hash: %v: %s", err, out)
	}
}
