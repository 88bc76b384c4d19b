package validate

import "strings"

// sentence is a message in both languages; $1, $2 … stand for its arguments, which are names and bounds of definitions, never values
// of an instance.
type sentence struct{ english, chinese string }

// text fills the sentence of a message id.
func text(id string, args []string) (english, chinese string) {
	s, ok := messages[id]
	if !ok {
		return id, ""
	}
	return fill(s.english, args), fill(s.chinese, args)
}

func fill(s string, args []string) string {
	for i, a := range args {
		s = strings.ReplaceAll(s, "$"+count(i+1), a)
	}
	return s
}

// messages are all issues of this package by their stable ids.
var messages = map[string]sentence{
	"validate.limit": {"validation has reached its limit of checks and is not complete", "校验已达检查次数上限，未全部完成"},
	"validate.more":  {"$1 more issues are not listed", "另有 $1 个问题未列出"},

	"invariant":            {"$1: $2", "违反约束 $1：$2"},
	"invariant.ele-1":      {"ele-1: an element has a value or children", "违反约束 ele-1：元素必须有值或子元素"},
	"invariant.ext-1":      {"ext-1: an extension has either a value or extensions, not both", "违反约束 ext-1：扩展必须有值或子扩展，且不能二者兼有"},
	"invariant.txt-2":      {"txt-2: a narrative says something", "违反约束 txt-2：叙述必须有非空白内容"},
	"invariant.undecided":  {"the invariant $1 cannot be evaluated here", "无法在此计算约束 $1"},
	"invariant.unreadable": {"the invariant $1 is no valid FHIRPath", "约束 $1 的 FHIRPath 表达式无效"},

	"cardinality.min":  {"the profile asks for at least $2 of $1, there are $3", "规范要求 $1 至少出现 $2 次，实际 $3 次"},
	"cardinality.max":  {"the profile allows at most $2 of $1, there are $3", "规范允许 $1 最多出现 $2 次，实际 $3 次"},
	"cardinality.none": {"the profile does not allow $1", "规范不允许出现 $1"},
	"type":             {"the type $1 is not among those that the profile allows: $2", "类型 $1 不在规范允许的类型之内：$2"},

	"narrative.namespace": {"the div is in the namespace of XHTML", "div 必须声明 XHTML 命名空间"},
	"element.id-repeated": {"another element of the resource has the same id", "资源中另一个元素使用了相同的 id"},
	"contained.repeated":  {"another contained resource has the same id", "另一个内含资源使用了相同的 id"},

	"value.fixed":        {"the value is not the one that the profile fixes for $1", "取值与规范为 $1 规定的固定值不同"},
	"value.pattern":      {"the value does not match the pattern that the profile sets for $1", "取值不符合规范为 $1 规定的模式"},
	"value.length":       {"the text is longer than $1 characters", "文本长度超过 $1 个字符"},
	"canonical.absolute": {"a canonical is an absolute URL, or a fragment", "规范地址必须是绝对地址或片段"},
	"uri.uuid":           {"a urn:uuid holds a UUID in small letters", "urn:uuid 必须是小写的 UUID"},
	"uri.oid":            {"a urn:oid holds an OID", "urn:oid 必须是有效的 OID"},
	"identifier.uri":     {"the system is that of URIs, but the value is none", "标识系统为 URI，但其值不是完整的 URI"},
	"unit.unknown":       {"the unit is no UCUM code", "单位不是有效的 UCUM 代码"},
	"value.low":          {"the value is below $1", "取值小于下限 $1"},
	"value.high":         {"the value is above $1", "取值大于上限 $1"},

	"slice.closed": {"it belongs to no slice of $1, and the profile allows no others", "不属于 $1 的任何切片，而规范不允许其他内容"},
	"slice.end":    {"slice $1 stands behind an element of no slice, which only the end may hold", "切片 $1 出现在不属于任何切片的元素之后"},
	"slice.order":  {"slice $1 stands behind slice $2; the profile orders them otherwise", "切片 $1 出现在切片 $2 之后，与规范规定的顺序不符"},

	"binding.required":   {"the code is not in the value set $1, to which the element is bound", "代码不在必须使用的值集 $1 中"},
	"binding.extensible": {"no code is from the value set $1, which is to be used where it has the concept", "没有来自值集 $1 的代码；该值集含有此概念时应使用它"},
	"binding.preferred":  {"no code is from the value set $1, which is preferred", "没有来自推荐值集 $1 的代码"},
	"binding.no-code":    {"a code from the value set $1 is needed", "需要来自值集 $1 的代码"},
	"code.system":        {"the system of a code is an absolute URL", "代码系统必须是绝对地址"},
	"code.unknown":       {"the code system $1 has no such code", "代码系统 $1 中没有此代码"},

	"reference.target":       {"the reference is to $1; allowed are $2", "引用指向 $1；允许的类型为 $2"},
	"reference.profile":      {"what is referred to conforms to none of $1", "被引用的资源不符合以下任何规范：$1"},
	"reference.type-differs": {"type says otherwise than the reference, which is to $1", "type 与引用不一致，引用指向 $1"},
	"reference.form":         {"a reference holds no white space", "引用中不能有空白字符"},
	"reference.contained":    {"there is no contained resource with this id", "没有此 id 的内含资源"},

	"extension.unknown":          {"the definition of the extension is not known; its content was not checked", "未知扩展的定义，其内容未校验"},
	"extension.modifier-unknown": {"the definition of the modifier extension is not known", "未知修饰扩展的定义"},
	"extension.hl7-unknown":      {"HL7 defines no such extension in R4", "HL7 R4 中没有此扩展"},
	"extension.modifier":         {"the extension modifies the meaning and may only be a modifierExtension", "该扩展会改变含义，只能作为 modifierExtension 使用"},
	"extension.no-modifier":      {"the extension is no modifier and may not be a modifierExtension", "该扩展不是修饰扩展，不能作为 modifierExtension 使用"},
	"extension.context":          {"the extension may not stand on $1", "该扩展不能用在 $1 上"},
	"extension.relative":         {"the url of an extension is absolute, save inside another one", "扩展的 url 必须是绝对地址（嵌套扩展除外）"},
	"extension.nested-unknown":   {"the extension that it stands in has no such part", "所在扩展的定义中没有此部分"},

	"profile.unknown":    {"the profile is not known; it was not checked", "未知的规范，未按其校验"},
	"profile.vital-sign": {"the code is that of a vital sign, but the resource does not conform to the profile $1", "代码表示生命体征，但资源不符合规范 $1"},
	"profile.type":       {"the profile is of $1, not of $2", "该规范针对 $1，而不是 $2"},
	"profile.none":       {"it conforms to none of the profiles $1", "不符合以下任何规范：$1"},
	"profile.problem":    {"a part of the profile $1 cannot be checked: $2", "规范 $1 的一部分无法校验：$2"},

	"bundle.full-url":           {"an entry with a resource has a fullUrl, save in batches and transactions and their requests", "含资源的条目必须有 fullUrl（批处理和事务除外）"},
	"bundle.full-url-absolute":  {"fullUrl is an absolute URL", "fullUrl 必须是绝对地址"},
	"bundle.full-url-id":        {"fullUrl ends in another id than the resource has", "fullUrl 中的 id 与资源的 id 不同"},
	"bundle.full-url-version":   {"fullUrl is not specific to a version", "fullUrl 不能指定版本"},
	"bundle.first":              {"the first entry of a $1 is a $2", "$1 的第一个条目必须是 $2"},
	"bundle.empty":              {"a $1 has entries", "$1 必须有条目"},
	"bundle.reference":          {"what is referred to is not in the Bundle", "被引用的资源不在 Bundle 中"},
	"bundle.reference-repeated": {"more than one entry of the Bundle has this fullUrl", "Bundle 中有多个条目使用此 fullUrl"},
	"bundle.unreachable":        {"the entry is not reached by references from the first one", "从第一个条目出发无法引用到此条目"},
	"bundle.method":             {"the method $1 asks for a resource", "$1 请求必须带资源"},
	"bundle.method-resource":    {"the method $1 takes no resource", "$1 请求不带资源"},
	"bundle.request-url":        {"the type in the request's url is not that of the resource", "请求地址中的类型与资源类型不同"},

	"questionnaire.none":       {"no questionnaire is named; answers were not checked against one", "未指明问卷，答案未对照问卷校验"},
	"questionnaire.unknown":    {"the questionnaire is not known; answers were not checked against it", "未知的问卷，答案未对照问卷校验"},
	"questionnaire.item":       {"the questionnaire has no item with this linkId here", "问卷在此处没有此 linkId 的条目"},
	"questionnaire.order":      {"the items are not in the order of the questionnaire", "条目顺序与问卷不一致"},
	"questionnaire.repeats":    {"the item does not repeat", "该条目不可重复"},
	"questionnaire.required":   {"the required item has no answer", "必答条目没有回答"},
	"questionnaire.type":       {"the answer is of type $1; the question asks for $2", "答案类型为 $1，问题要求 $2"},
	"questionnaire.option":     {"the answer is none of the options", "答案不在选项之内"},
	"questionnaire.value-set":  {"the answer is not in the value set $1", "答案不在值集 $1 中"},
	"questionnaire.answers":    {"a $1 has no answers", "$1 类条目没有答案"},
	"questionnaire.group":      {"a group has items, not answers with items", "分组直接包含条目"},
	"questionnaire.disabled":   {"the item is not enabled and has no place in a completed response", "该条目未启用，不应出现在已完成的答卷中"},
	"questionnaire.low":        {"the answer is below $1", "答案小于下限 $1"},
	"questionnaire.high":       {"the answer is above $1", "答案大于上限 $1"},
	"questionnaire.length":     {"the answer is longer than $1 characters", "答案长度超过 $1 个字符"},
	"questionnaire.min-length": {"the answer is shorter than $1 characters", "答案长度少于 $1 个字符"},
	"questionnaire.places":     {"the answer has more than $1 decimal places", "答案的小数位数超过 $1 位"},
	"questionnaire.occurs":     {"the item occurs $1 times; at least $2 and at most $3 are allowed", "该条目出现 $1 次；允许至少 $2 次、至多 $3 次"},
}
