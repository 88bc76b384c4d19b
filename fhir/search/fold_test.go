package search

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFold(t *testing.T) {
	for _, c := range []struct{ rule, in, want string }{
		{"case", "van der Berg", "van der berg"},
		{"accents", "Müller Ångström Žižka", "muller angstrom zizka"},
		{"accents written apart", "Mu\u0308ller", "muller"},
		{"sharp s", "Straße", "strasse"},
		{"punctuation is dropped", "O'Brien-Smith, Jr.", "obriensmith jr"},
		{"white space is one blank", " a \t\n b ", "a b"},
		{"full width", "ＡＢＣ　１２", "abc 12"},
		{"middle dots of names are alike", "买买提·艾力", "买买提艾力"},
		{"bullet", "买买提•艾力", "买买提艾力"},
		{"katakana dot", "买买提・艾力", "买买提艾力"},
		{"no blank between Han", "张　三", "张三"},
		{"a blank beside letters stays", "张 san", "张 san"},
		{"Chinese punctuation", "北京市，朝阳区（东）", "北京市朝阳区东"},
		{"compatibility ideograph", "\uF9D1", "六"},
		{"extension B is kept", "𬎆", "𬎆"},
		{"symbols stay", "a+b", "a+b"},
		{"only punctuation is nothing", "-.", ""},
		{"final sigma", "ΟΔΥΣΣΕΥΣ οδυσσευς", "οδυσσευσ οδυσσευσ"},
	} {
		if got := fold(c.in); got != c.want {
			t.Errorf("%s: fold(%q) = %q, want %q", c.rule, c.in, got, c.want)
		}
	}
}

func TestReadings(t *testing.T) {
	for _, c := range []struct {
		name string
		want string // full/initials
	}{
		{"张三", "zhangsan/zs"},
		{"曾国藩", "zengguofan/zgf cengguofan/cgf"},
		{"单田芳", "shantianfang/stf dantianfang/dtf"},
		{"欧阳修", "ouyangxiu/oyx"},
		{"尉迟恭", "yuchigong/ycg"},
		{"万俟洛", "moqiluo/mql"},
		{"吕布", "lvbu/lb lubu/lb lyubu/lb"},
		{"查良镛", "zhaliangyong/zly chaliangyong/cly"},
		{"张san", "zhangsan/zs"},
		{"zhang", ""},
		{"仇英", "qiuying/qy chouying/cy"},
		{"王乐", "wangle/wl wangyue/wy"},
	} {
		var got []string
		for _, r := range readings([]byte(c.name), true) {
			got = append(got, r.full+"/"+r.initials)
		}
		want := strings.Fields(c.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
	if r := readings([]byte("单"), false); len(r) != 2 || r[0].full != "dan" {
		t.Errorf("a given name has the common reading first: %v", r)
	}
	if r := readings([]byte(strings.Repeat("张", maxHan+1)), true); r != nil {
		t.Errorf("%d readings of a long text", len(r))
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"Zoë", "张 三", "ﷺ", "가나", "a\u0300\u0301b", "ẞ", "\uFDFA x"} {
		f.Add(s, 2)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		if !utf8.ValidString(s) {
			return
		}
		whole := appendFold(nil, []byte(s))
		if !utf8.Valid(whole) {
			t.Fatalf("fold(%q) is not UTF-8", s)
		}
		if again := appendFold(nil, whole); !bytes.Equal(again, whole) {
			t.Fatalf("fold(%q) = %q, folded again %q", s, whole, again)
		}
		if n < 0 || n > len(s) || !utf8.ValidString(s[:n]) {
			return
		}
		if head := appendFold(nil, []byte(s[:n])); !bytes.HasPrefix(whole, head) {
			t.Fatalf("fold(%q) = %q does not begin with fold(%q) = %q", s, whole, s[:n], head)
		}
	})
}
