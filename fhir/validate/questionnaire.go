package validate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"

	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// The answers of a QuestionnaireResponse against their Questionnaire: its items by linkId, in their order, below each other as they are
// defined.
//
// https://hl7.org/fhir/R4/questionnaireresponse.html, https://hl7.org/fhir/R4/questionnaire.html#using

// answering is a response being checked.
type answering struct {
	*run
	response element.Node
	done     bool // the response is completed or amended: required items and enableWhen count
	byLink   map[string][]element.Node
}

// questionnaireResponse checks a response against the questionnaire that it names: contained, or known to the Source.
func (r *run) questionnaireResponse(n element.Node) {
	ref := n.Child("questionnaire")
	if !ref.HasValue() {
		r.report(n, issue.Information, issue.Informational, "questionnaire.none")
		return
	}
	q := r.questionnaire(n, ref.Text())
	if !q.Valid() {
		r.report(ref, issue.Warning, issue.NotFound, "questionnaire.unknown")
		return
	}
	status := n.Child("status").Text()
	a := answering{run: r, response: n, done: status == "completed" || status == "amended", byLink: map[string][]element.Node{}}
	a.collect(n)
	a.items(n, q)
}

// questionnaire finds a Questionnaire by its canonical.
func (r *run) questionnaire(n element.Node, canonical string) element.Node {
	if id, ok := strings.CutPrefix(canonical, "#"); ok {
		for _, c := range children(n, "contained") {
			if c.Child("id").Text() == id && c.TypeID() == schema.TypeQuestionnaire {
				return c
			}
		}
		return element.Node{}
	}
	if r.v.opt.Source == nil {
		return element.Node{}
	}
	body, err := r.v.opt.Source.Definition(r.ctx, "Questionnaire", canonical)
	if r.fail(err); err != nil || body == nil {
		return element.Node{}
	}
	tree, err := codec.Parse(body, codec.Options{Type: "Questionnaire"})
	if err != nil {
		return element.Node{}
	}
	return tree.Root()
}

// collect notes the items of a response by linkId, for enableWhen.
func (a *answering) collect(n element.Node) {
	for c := n.First(); c.Valid(); c = c.Next() {
		switch c.Name() {
		case "item":
			link := c.Child("linkId").Text()
			a.byLink[link] = append(a.byLink[link], c)
			a.collect(c)
		case "answer":
			a.collect(c)
		}
	}
}

// items checks the items below one element of the response against those below the corresponding one of the questionnaire.
func (a *answering) items(n, q element.Node) {
	questions := children(q, "item")
	order, last := map[string]int{}, -1
	for i, x := range questions {
		order[x.Child("linkId").Text()] = i
	}
	given := map[string][]element.Node{}
	for _, c := range children(n, "item") {
		link := c.Child("linkId").Text()
		k, ok := order[link]
		if !ok {
			a.report(c, issue.SevError, issue.Structure, "questionnaire.item")
			continue
		}
		if k < last {
			a.report(c, issue.SevError, issue.Structure, "questionnaire.order")
		}
		last = max(last, k)
		given[link] = append(given[link], c)
	}
	for _, x := range questions {
		if a.step() {
			a.item(n, x, given[x.Child("linkId").Text()])
		}
	}
}

// item checks what answers one item of the questionnaire.
func (a *answering) item(n, q element.Node, given []element.Node) {
	kind := q.Child("type").Text()
	if !a.enabled(n, q) {
		for _, c := range given {
			if a.done && (c.Child("answer").Valid() || c.Child("item").Valid()) {
				a.report(c, issue.SevError, issue.Structure, "questionnaire.disabled")
			}
		}
		return
	}
	answers := 0
	for _, c := range given {
		answers += len(children(c, "answer"))
		if kind == "group" && c.Child("item").Valid() {
			answers++
		}
	}
	if a.done && q.Child("required").Text() == "true" && answers == 0 && kind != "display" {
		a.reportAt(n, ".item", issue.SevError, issue.Required, "questionnaire.required")
	}
	a.occurs(n, q, answers)
	if q.Child("repeats").Text() != "true" && (kind == "group" && len(given) > 1 || kind != "group" && (len(given) > 1 || answers > 1)) {
		a.report(given[len(given)-1], issue.SevError, issue.Structure, "questionnaire.repeats")
	}
	for _, c := range given {
		a.given(c, q, kind)
	}
}

// given checks one item of the response.
func (a *answering) given(c, q element.Node, kind string) {
	answers := children(c, "answer")
	if len(answers) > 0 && (kind == "group" || kind == "display") {
		a.report(answers[0], issue.SevError, issue.Structure, "questionnaire.answers", kind)
		return
	}
	if kind == "group" {
		a.items(c, q)
		return
	}
	if c.Child("item").Valid() {
		a.report(c.Child("item"), issue.SevError, issue.Structure, "questionnaire.group")
	}
	for _, x := range answers {
		if v := x.Child("value"); v.Valid() {
			a.answer(v, q, kind)
		}
		a.items(x, q)
	}
}

// answerTypes are the types of value[x] that each item type takes.
//
// https://hl7.org/fhir/R4/valueset-item-type.html
var answerTypes = map[string][]schema.ID{
	"boolean": {schema.TypeBoolean}, "decimal": {schema.TypeDecimal}, "integer": {schema.TypeInteger}, "date": {schema.TypeDate},
	"dateTime": {schema.TypeDateTime}, "time": {schema.TypeTime}, "string": {schema.TypeString}, "text": {schema.TypeString}, "url": {schema.TypeUri},
	"attachment": {schema.TypeAttachment}, "reference": {schema.TypeReference}, "quantity": {schema.TypeQuantity},
	"choice":      {schema.TypeCoding, schema.TypeString, schema.TypeInteger, schema.TypeDate, schema.TypeTime, schema.TypeReference},
	"open-choice": {schema.TypeCoding, schema.TypeString, schema.TypeInteger, schema.TypeDate, schema.TypeTime, schema.TypeReference},
}

// answer checks one value: its type, the options, the bounds.
func (a *answering) answer(v, q element.Node, kind string) {
	fits := false
	for _, id := range answerTypes[kind] {
		fits = fits || v.TypeID() == id
	}
	if !fits {
		a.report(v, issue.SevError, issue.Structure, "questionnaire.type", v.Type().Name, kind)
		return
	}
	free := kind == "open-choice" && v.TypeID() == schema.TypeString
	if options := children(q, "answerOption"); len(options) > 0 && !free && !isOption(v, options) {
		a.report(v, issue.SevError, issue.CodeInvalid, "questionnaire.option")
	}
	if set := q.Child("answerValueSet"); set.HasValue() && v.TypeID() == schema.TypeCoding && !strings.HasPrefix(set.Text(), "#") {
		if in, known := a.inValueSet(v, set.Text()); known && !in {
			severity := issue.SevError
			if kind == "open-choice" {
				severity = issue.Warning
			}
			a.report(v, severity, issue.CodeInvalid, "questionnaire.value-set", withoutVersion(set.Text()))
		}
	}
	a.bounds(v, q)
}

// isOption says that v is one of the options: a code by system and code, all else by its value.
func isOption(v element.Node, options []element.Node) bool {
	for _, o := range options {
		w := o.Child("value")
		switch {
		case w.TypeID() != v.TypeID():
		case v.Type().Kind != schema.Primitive:
			if sameAnswer(v, w) {
				return true
			}
		case equalPrimitive(v, w):
			return true
		}
	}
	return false
}

const structureDefinition = "http://hl7.org/fhir/StructureDefinition/"

// extensionValue is the value of an extension of R4 on n, the zero Node when there is none.
func extensionValue(n element.Node, name string) element.Node {
	for _, e := range children(n, "extension") {
		if e.Child("url").Text() == structureDefinition+name {
			return e.Child("value")
		}
	}
	return element.Node{}
}

// bounds checks maxLength and the extensions minLength, minValue, maxValue and maxDecimalPlaces of an item.
func (a *answering) bounds(v, q element.Node) {
	length := len([]rune(v.Text()))
	if most := number(q.Child("maxLength")); most > 0 && v.TypeID() == schema.TypeString && length > most {
		a.report(v, issue.SevError, issue.TooLong, "questionnaire.length", count(most))
	}
	if least := number(extensionValue(q, "minLength")); v.TypeID() == schema.TypeString && length < least {
		a.report(v, issue.SevError, issue.Value, "questionnaire.min-length", count(least))
	}
	if low := extensionValue(q, "minValue"); low.Valid() && a.compare(v, "<", low) {
		a.report(v, issue.SevError, issue.Value, "questionnaire.low", low.Text())
	}
	if high := extensionValue(q, "maxValue"); high.Valid() && a.compare(v, ">", high) {
		a.report(v, issue.SevError, issue.Value, "questionnaire.high", high.Text())
	}
	if places := extensionValue(q, "maxDecimalPlaces"); places.Valid() && v.TypeID() == schema.TypeDecimal {
		if _, after, _ := strings.Cut(v.Text(), "."); len(after) > number(places) {
			a.report(v, issue.SevError, issue.Value, "questionnaire.places", places.Text())
		}
	}
}

// occurs checks the extensions minOccurs and maxOccurs of an item.
func (a *answering) occurs(n, q element.Node, answers int) {
	low, high := extensionValue(q, "questionnaire-minOccurs"), extensionValue(q, "questionnaire-maxOccurs")
	if !a.done || answers == 0 || !low.Valid() && !high.Valid() {
		return
	}
	if answers < number(low) || high.Valid() && answers > number(high) {
		most := "*"
		if high.Valid() {
			most = high.Text()
		}
		a.reportAt(n, ".item", issue.SevError, issue.Structure, "questionnaire.occurs", strconv.Itoa(answers), count(number(low)), most)
	}
}

// enabled evaluates enableWhen of an item below n.
//
// https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen
func (a *answering) enabled(n, q element.Node) bool {
	conditions := children(q, "enableWhen")
	if len(conditions) == 0 {
		return true
	}
	all := q.Child("enableBehavior").Text() == "all"
	for _, c := range conditions {
		if ok := a.condition(n, c); ok != all {
			return ok
		}
	}
	return all
}

// nearest gives the occurrences of a question that the enableWhen of an item below n is about: those in the smallest part of the response around
// the item that has any. So in a group that repeats each repetition has conditions of its own.
//
// https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen.question
func (a *answering) nearest(n element.Node, link string) []element.Node {
	all := a.byLink[link]
	for up := n; up.Valid(); up = up.Parent() {
		from, _ := slices.BinarySearchFunc(all, up.Index(), func(x element.Node, at int) int { return cmp.Compare(x.Index(), at) })
		end := from
		for end < len(all) && stands(all[end], up) {
			end++
		}
		if end > from {
			return all[from:end]
		}
	}
	return nil
}

// stands says that n is up, or is below it.
func stands(n, up element.Node) bool {
	for n.Valid() && n.Index() > up.Index() {
		n = n.Parent()
	}
	return n == up
}

// condition evaluates one enableWhen of an item below n over the answers to its question.
func (a *answering) condition(n, c element.Node) bool {
	var values []element.Node
	for _, x := range a.nearest(n, c.Child("question").Text()) {
		for _, answer := range children(x, "answer") {
			if v := answer.Child("value"); v.Valid() {
				values = append(values, v)
			}
		}
	}
	want, op := c.Child("answer"), c.Child("operator").Text()
	if op == "exists" {
		return (len(values) > 0) == (want.Text() == "true")
	}
	for _, v := range values {
		if a.agrees(v, op, want) {
			return true
		}
	}
	return false
}

// agrees compares an answer with that of an enableWhen. Codes are equal by system and code.
func (a *answering) agrees(v element.Node, op string, want element.Node) bool {
	if op == "=" || op == "!=" {
		equal := false
		switch {
		case v.TypeID() == schema.TypeCoding || v.TypeID() == schema.TypeReference:
			equal = sameAnswer(v, want)
		default:
			equal = a.compare(v, "=", want)
		}
		return equal == (op == "=")
	}
	return a.compare(v, op, want)
}

// sameAnswer compares a Coding or Reference with that of an enableWhen.
func sameAnswer(v, want element.Node) bool {
	if v.TypeID() != want.TypeID() {
		return false
	}
	for _, name := range []string{"system", "code", "reference"} {
		if v.Child(name).Text() != want.Child(name).Text() {
			return false
		}
	}
	return true
}
