package definitions

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"meridian/fhir/issue"
)

// Packages are definitions of NPM-style FHIR packages: gzipped tar archives
// with package/package.json and one resource a file beside it.
//
//	hl7.fhir.uv.ips-1.1.0.tgz
//	hl7.terminology.r4-6.2.0.tgz
//	packages.sha256            optional, as sha256sum writes it: then every archive must be in it, with its hash
//
// Nothing is fetched and nothing is unpacked to disk. A canonical that several
// packages define otherwise is a Conflict; the package whose file name is last wins.
// Read only after ReadPackages; safe for concurrent use. A nil *Packages holds nothing.
//
// https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
type Packages struct {
	list      []Package
	conflicts []Conflict
	byURL     map[canonical][]packaged // ascending by version
}

// Package is one that was read.
type Package struct {
	File, Name, Version string
	SHA256              string            // of the archive, hex
	Resources           int               // with a canonical
	Depends             map[string]string // name → version, as package.json has it
}

// Conflict is a canonical and version that packages define otherwise.
type Conflict struct {
	Kind, URL, Version string
	Lost, Won          string // names of archives
}

// PackageLimits bound what ReadPackages reads; zero fields take the defaults.
type PackageLimits struct {
	Archives int   // how many; 200
	Files    int   // in one archive; 50,000
	File     int64 // bytes of one file; 64 MiB
	Bytes    int64 // of all files of one archive, unpacked; 1 GiB
}

type canonical struct{ kind, url string }

type packaged struct {
	version string
	from    int32  // in list
	body    []byte // deflated
}

const pinFile = "packages.sha256"

func (l PackageLimits) withDefaults() PackageLimits {
	if l.Archives == 0 {
		l.Archives = 200
	}
	if l.Files == 0 {
		l.Files = 50_000
	}
	if l.File == 0 {
		l.File = 64 << 20
	}
	if l.Bytes == 0 {
		l.Bytes = 1 << 30
	}
	return l
}

// ReadPackages reads every archive (*.tgz) of a folder, in the order of names: all of them, or an
// error that names the archive and the file in it. Issue codes: invalid, structure, too-long; not-found for a
// hash that is pinned but whose archive is not there; conflict for another hash.
func ReadPackages(dir fs.FS, l PackageLimits) (*Packages, error) {
	l = l.withDefaults()
	names, err := fs.Glob(dir, "*.tgz")
	if err != nil {
		return nil, err
	}
	if len(names) > l.Archives {
		return nil, packageError(issue.TooLong, "", "there are more than %d archives", l.Archives)
	}
	pins, err := readPins(dir)
	if err != nil {
		return nil, err
	}
	p := &Packages{byURL: map[canonical][]packaged{}}
	slices.Sort(names)
	for _, name := range names {
		if err := p.read(dir, name, l, pins); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		if !slices.Contains(names, name) {
			return nil, packageError(issue.NotFound, name, "it is pinned in %s, but is not there", pinFile)
		}
	}
	for _, of := range p.byURL {
		slices.SortStableFunc(of, func(a, b packaged) int { return compareVersions(a.version, b.version) })
	}
	slices.SortFunc(p.conflicts, func(a, b Conflict) int {
		return strings.Compare(a.Kind+" "+a.URL+"|"+a.Version, b.Kind+" "+b.URL+"|"+b.Version)
	})
	return p, nil
}

func packageError(code issue.Code, archive, format string, args ...any) error {
	text := "packages: "
	if archive != "" {
		text += archive + ": "
	}
	return issue.New(code, "definitions.package", text+fmt.Sprintf(format, args...), "")
}

// readPins reads lines of a hash, blanks, perhaps a star, and a name.
func readPins(dir fs.FS) (map[string]string, error) {
	data, err := fs.ReadFile(dir, pinFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("packages: %w", err)
	}
	pins := map[string]string{}
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		hash, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		name = strings.TrimPrefix(strings.TrimSpace(name), "*")
		if raw, err := hex.DecodeString(hash); err != nil || len(raw) != sha256.Size || name == "" {
			return nil, packageError(issue.Invalid, pinFile, "line %d is no hash and name", i+1)
		}
		pins[name] = strings.ToLower(hash)
	}
	return pins, nil
}

// read takes one archive in.
func (p *Packages) read(dir fs.FS, name string, l PackageLimits, pins map[string]string) error {
	file, err := dir.Open(name)
	if err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	defer file.Close()
	a := archiveReader{name: name, limits: l, sum: sha256.New()}
	src := io.TeeReader(file, a.sum)
	if err := a.readAll(src); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, src); err != nil { // what stands behind the archive is in the hash too
		return fmt.Errorf("packages: %s: %w", name, err)
	}
	a.pkg.File, a.pkg.SHA256 = name, hex.EncodeToString(a.sum.Sum(nil))
	if want, ok := pins[name]; pins != nil && (!ok || want != a.pkg.SHA256) {
		return packageError(issue.Conflict, name, "its SHA-256 is %s, and not the one in %s", a.pkg.SHA256, pinFile)
	}
	if a.pkg.Name == "" || a.pkg.Version == "" {
		return packageError(issue.Structure, name, "package/package.json with name and version is missing")
	}
	at := int32(len(p.list))
	p.list = append(p.list, a.pkg)
	for _, r := range a.resources {
		p.put(r, at)
	}
	return nil
}

// put files a resource; of two that say otherwise the later one stays.
func (p *Packages) put(r archived, at int32) {
	key := canonical{r.kind, r.url}
	of := p.byURL[key]
	i := slices.IndexFunc(of, func(x packaged) bool { return x.version == r.version })
	if i < 0 {
		p.byURL[key] = append(of, packaged{r.version, at, r.body})
		return
	}
	if !bytes.Equal(of[i].body, r.body) {
		p.conflicts = append(p.conflicts, Conflict{r.kind, r.url, r.version, p.list[of[i].from].File, p.list[at].File})
	}
	of[i] = packaged{r.version, at, r.body}
}

// All lists the packages that were read.
func (p *Packages) All() []Package { return p.list }

// Conflicts lists canonicals that packages define otherwise.
func (p *Packages) Conflicts() []Conflict { return p.conflicts }

// Missing lists what packages depend on and is not there, as name@version (needed by). The core of R4 is
// embedded. A version with an x is any.
func (p *Packages) Missing() (out []string) {
	for _, pkg := range p.list {
		for _, name := range slices.Sorted(maps.Keys(pkg.Depends)) {
			want := pkg.Depends[name]
			if name == "hl7.fhir.r4.core" || slices.ContainsFunc(p.list, func(x Package) bool { return x.Name == name && versionFits(want, x.Version) }) {
				continue
			}
			out = append(out, fmt.Sprintf("%s@%s (needed by %s@%s)", name, want, pkg.Name, pkg.Version))
		}
	}
	return out
}

func versionFits(want, have string) bool {
	w, h := strings.Split(want, "."), strings.Split(have, ".")
	for i := range w {
		if w[i] == "x" || w[i] == "*" {
			return true
		}
		if i >= len(h) || w[i] != h[i] {
			return false
		}
	}
	return len(w) == len(h)
}

// Versions gives every version of a canonical, ascending, as minified JSON. With "|version" only that one.
func (p *Packages) Versions(kind, canon string) (out [][]byte, err error) {
	for _, x := range p.find(kind, canon) {
		body, err := io.ReadAll(flate.NewReader(bytes.NewReader(x.body)))
		if err != nil {
			return nil, fmt.Errorf("packages: %s %s: %w", kind, canon, err)
		}
		out = append(out, body)
	}
	return out, nil
}

func (p *Packages) find(kind, canon string) []packaged {
	if p == nil {
		return nil
	}
	if of := p.byURL[canonical{kind, canon}]; of != nil {
		return of
	}
	url, version, _ := strings.Cut(canon, "|")
	of := p.byURL[canonical{kind, url}]
	if i := slices.IndexFunc(of, func(x packaged) bool { return x.version == version }); i >= 0 {
		return of[i : i+1]
	}
	return nil
}

// archiveReader reads one archive.
type archiveReader struct {
	name      string
	limits    PackageLimits
	sum       hash.Hash
	pkg       Package
	resources []archived
}

type archived struct {
	kind, url, version string
	body               []byte
}

func (a *archiveReader) readAll(src io.Reader) error {
	z, err := gzip.NewReader(src)
	if err != nil {
		return packageError(issue.Invalid, a.name, "it is not gzip: %v", err)
	}
	// One more than the limit, so that what is cut off is told from what ends there.
	counted := &io.LimitedReader{R: z, N: a.limits.Bytes + 1}
	tr := tar.NewReader(counted)
	for n := 0; ; n++ {
		head, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if counted.N <= 0 {
			return packageError(issue.TooLong, a.name, "it unpacks to more than %d bytes", a.limits.Bytes)
		}
		if err != nil {
			return packageError(issue.Invalid, a.name, "it is no tar archive: %v", err)
		}
		if n == a.limits.Files {
			return packageError(issue.TooLong, a.name, "it has more than %d files", a.limits.Files)
		}
		if err := a.file(head, tr); err != nil {
			if counted.N <= 0 {
				return packageError(issue.TooLong, a.name, "it unpacks to more than %d bytes", a.limits.Bytes)
			}
			return err
		}
	}
}

// file takes a file in: package.json, or a resource. Examples and what else lies deeper is passed over.
func (a *archiveReader) file(head *tar.Header, src io.Reader) error {
	clean := path.Clean(head.Name)
	if path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
		return packageError(issue.Invalid, a.name, "the path of a file leads out of it")
	}
	if head.Typeflag != tar.TypeReg || path.Dir(clean) != "package" || path.Ext(clean) != ".json" || path.Base(clean)[0] == '.' {
		return nil
	}
	if head.Size > a.limits.File {
		return packageError(issue.TooLong, a.name, "%s has more than %d bytes", clean, a.limits.File)
	}
	raw, err := io.ReadAll(src)
	if err != nil {
		return packageError(issue.Invalid, a.name, "%s: %v", clean, err)
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	var h struct {
		ResourceType, URL, Version, Name string
		Dependencies                     map[string]string
	}
	var text bytes.Buffer
	if err := json.Compact(&text, raw); err != nil {
		return packageError(issue.Structure, a.name, "%s: %v", clean, err)
	}
	if path.Base(clean) == "package.json" {
		if err := json.Unmarshal(raw, &h); err != nil {
			return packageError(issue.Structure, a.name, "%s: %v", clean, err)
		}
		a.pkg.Name, a.pkg.Version, a.pkg.Depends = h.Name, h.Version, h.Dependencies
		return nil
	}
	// Not every file is a resource with a canonical: the index of the package, an example.
	if err := json.Unmarshal(raw, &h); err != nil || h.ResourceType == "" || h.URL == "" {
		return nil
	}
	a.resources = append(a.resources, archived{h.ResourceType, h.URL, h.Version, deflated(text.Bytes())})
	a.pkg.Resources++
	return nil
}

// deflated keeps what is seldom read at a sixth of its size.
func deflated(data []byte) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.DefaultCompression) // fails for other levels only
	w.Write(data)                                           // to memory
	w.Close()
	return bytes.Clone(out.Bytes())
}
