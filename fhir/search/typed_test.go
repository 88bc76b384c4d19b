package search

import "testing"

// The readings are those of a dictionary: 肝 gān, 糖 táng, 原 yuán, 血 xuè, 红 hóng, 蛋 dàn, 白 bái.
func TestTyped(t *testing.T) {
	texts := []string{"2345-7", "肝糖原", "Glycogen in liver"}
	for typed, want := range map[string]bool{
		"gantang": true, "gt": true, "gty": true, "肝": true, "糖原": true, "liver": true, "LIV": true, "glyc 肝": true, "tangyuan": true, "gan": true, "gantangy": true,
		"2345": true, "2345-7": true, "": true,
		"iver": false, "肾": false, "gangan": false, "gat": false, "tg": false, "gantangyuanx": false, "liver blood": false, "肝原": false,
	} {
		q, ok := NewTyped(typed)
		if !ok || q.In(texts...) != want {
			t.Errorf("%q: %v", typed, !want)
		}
	}
	if q, _ := NewTyped("xhdb"); !q.In("血红蛋白（Hb）测定") || q.In("红细胞") {
		t.Error("initials inside a longer text")
	}
}

func BenchmarkTyped(b *testing.B) {
	b.ReportAllocs()
	q, _ := NewTyped("gantang")
	for b.Loop() {
		if q.In("718-7", "血红蛋白测定", "Hemoglobin [Mass/volume] in Blood") {
			b.Fatal("found")
		}
	}
}
