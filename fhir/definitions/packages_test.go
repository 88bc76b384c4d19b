package definitions

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"meridian/fhir/issue"
)

// tgz makes an archive of files by path, in the order of paths.
func tgz(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func manifest(name, version, more string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q%s}`, name, version, more)
}

func folder(archives map[string][]byte) fstest.MapFS {
	dir := fstest.MapFS{}
	for name, data := range archives {
		dir[name] = &fstest.MapFile{Data: data}
	}
	return dir
}

func profile(version, title string) string {
	return fmt.Sprintf(`{"resourceType":"StructureDefinition", "url":"http://x/p", "version":%q, "title":%q, "decimal": 1.10}`, version, title)
}

func TestPackages(t *testing.T) {
	dir := folder(map[string][]byte{
		"a.tgz": tgz(t, map[string]string{"package/package.json": manifest("a", "1.0.0", `,"dependencies":{"hl7.fhir.r4.core":"4.0.1","b":"2.x","gone":"1.0.0"}`),
			"package/p.json": profile("9.0.0", "nine"), "package/q.json": profile("10.0.0-draft", "draft"), "package/.index.json": `{"files":[]}`,
			"package/example/e.json": profile("99.0.0", "an example"), "package/readme.md": "{"}),
		"b.tgz":     tgz(t, map[string]string{"package/package.json": manifest("b", "2.1.0", ""), "package/p.json": "\xef\xbb\xbf" + profile("10.0.0", "ten"), "./package/same.json": profile("9.0.0", "nine otherwise")}),
		"notes.txt": []byte("x"),
	})
	p, err := ReadPackages(dir, PackageLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if all := p.All(); len(all) != 2 || all[0].Name != "a" || all[0].Resources != 2 || all[1].Version != "2.1.0" || all[0].SHA256 != fmt.Sprintf("%x", sha256.Sum256(dir["a.tgz"].Data)) {
		t.Errorf("%+v", all)
	}
	all, err := p.Versions("StructureDefinition", "http://x/p")
	if err != nil || len(all) != 3 || string(all[2]) != `{"resourceType":"StructureDefinition","url":"http://x/p","version":"10.0.0","title":"ten","decimal":1.10}` {
		t.Errorf("the newest is last: %s, %v", all, err)
	}
	if old, err := p.Versions("StructureDefinition", "http://x/p|9.0.0"); err != nil || len(old) != 1 || !strings.Contains(string(old[0]), "nine otherwise") {
		t.Errorf("9.0.0: %s, %v", old, err)
	}
	if none, err := p.Versions("StructureDefinition", "http://x/p|99.0.0"); err != nil || len(none) != 0 {
		t.Errorf("an example: %s, %v", none, err)
	}
	if c := p.Conflicts(); len(c) != 1 || c[0] != (Conflict{"StructureDefinition", "http://x/p", "9.0.0", "a.tgz", "b.tgz"}) {
		t.Errorf("conflicts: %v", c)
	}
	if m := p.Missing(); !slices.Equal(m, []string{"gone@1.0.0 (needed by a@1.0.0)"}) {
		t.Errorf("missing: %v", m)
	}
}

// Versions are ordered as https://semver.org/#spec-item-11 does, as far as packages use it.
func TestVersionsAreOrdered(t *testing.T) {
	ordered := []string{"", "0.9", "1.0.0-alpha", "1.0.0-beta", "1.0.0", "1.0.1", "1.2", "1.10", "2.0.0", "10.0.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := compareVersions(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%q against %q: %d", a, b, got)
			}
		}
	}
}

// What is pinned must be there and have its hash; what is there must be pinned.
func TestPinnedPackages(t *testing.T) {
	data := tgz(t, map[string]string{"package/package.json": manifest("a", "1", "")})
	good := fmt.Sprintf("%x  a.tgz\n", sha256.Sum256(data))
	for name, c := range map[string]struct {
		pins string
		code issue.Code
	}{
		"as pinned":            {good, ""},
		"binary mode":          {strings.Replace(good, "  ", " *", 1), ""},
		"another hash":         {strings.Repeat("0", 64) + "  a.tgz", issue.Conflict},
		"not pinned":           {strings.Repeat("0", 64) + "  b.tgz", issue.Conflict},
		"pinned but not there": {good + strings.Repeat("0", 64) + "  b.tgz", issue.NotFound},
		"no hash":              {"abc  a.tgz", issue.Invalid},
	} {
		_, err := ReadPackages(folder(map[string][]byte{"a.tgz": data, "packages.sha256": []byte(c.pins)}), PackageLimits{})
		if code := codeOf(err); code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func codeOf(err error) issue.Code {
	if e := issue.As(err); e != nil {
		return e.Issues[0].Code
	}
	return ""
}

// Hostile archives end in an error that names them, with nothing taken over.
func TestHostilePackages(t *testing.T) {
	ok := manifest("a", "1", "")
	zeros := strings.Repeat("0", 1<<20)
	whole := tgz(t, map[string]string{"package/package.json": ok, "package/p.json": profile("1", strings.Repeat("x", 4000))})
	for name, c := range map[string]struct {
		data   []byte
		code   issue.Code
		limits PackageLimits
	}{
		"no gzip":             {[]byte("x"), issue.Invalid, PackageLimits{}},
		"no tar":              {gzipped(t, "not a tar archive, but long enough to be looked at"+zeros[:600]), issue.Invalid, PackageLimits{}},
		"cut off":             {whole[:len(whole)/2], issue.Invalid, PackageLimits{}},
		"path leads out":      {tgz(t, map[string]string{"package/../../etc/passwd": "x", "package/package.json": ok}), issue.Invalid, PackageLimits{}},
		"absolute path":       {tgz(t, map[string]string{"/package/p.json": "{}"}), issue.Invalid, PackageLimits{}},
		"no package.json":     {tgz(t, map[string]string{"package/p.json": "{}"}), issue.Structure, PackageLimits{}},
		"broken package.json": {tgz(t, map[string]string{"package/package.json": `{"name":1}`}), issue.Structure, PackageLimits{}},
		"broken resource":     {tgz(t, map[string]string{"package/package.json": ok, "package/p.json": `{"resourceType":`}), issue.Structure, PackageLimits{}},
		"too many files":      {tgz(t, map[string]string{"package/package.json": ok, "package/p.json": "{}"}), issue.TooLong, PackageLimits{Files: 1}},
		"a large file":        {tgz(t, map[string]string{"package/package.json": ok, "package/p.json": zeros}), issue.TooLong, PackageLimits{File: 1 << 10}},
		"gigabytes of zeros":  {tgz(t, map[string]string{"package/package.json": ok, "zeros": zeros}), issue.TooLong, PackageLimits{Bytes: 1 << 16}},
		"nested without end":  {tgz(t, map[string]string{"package/package.json": ok, "package/p.json": strings.Repeat("[", 1<<20)}), issue.Structure, PackageLimits{}},
	} {
		p, err := ReadPackages(folder(map[string][]byte{"a.tgz": c.data}), c.limits)
		if code := codeOf(err); p != nil || code != c.code || !strings.Contains(err.Error(), "a.tgz") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadPackages(folder(map[string][]byte{"a.tgz": whole, "b.tgz": whole}), PackageLimits{Archives: 1}); codeOf(err) != issue.TooLong {
		t.Errorf("too many archives: %v", err)
	}
}

func gzipped(t testing.TB, text string) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func FuzzPackages(f *testing.F) {
	f.Add(tgz(f, map[string]string{"package/package.json": manifest("a", "1", ""), "package/p.json": profile("1", "x")}))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ReadPackages(folder(map[string][]byte{"a.tgz": data}), PackageLimits{Bytes: 1 << 20, Files: 100})
		if (p == nil) == (err == nil) {
			t.Fatal("neither packages nor an error, or both")
		}
		if _, isFS := err.(*fs.PathError); isFS {
			t.Fatal(err)
		}
	})
}
