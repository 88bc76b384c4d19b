package search

// surnames gives the readings of characters as a surname where they differ from
// the common reading: the surname's first, then what people type all the same.
var surnames = map[string]string{
	"单": "shan,dan", "單": "shan,dan", "曾": "zeng,ceng", "仇": "qiu,chou", "解": "xie,jie", "区": "ou,qu", "區": "ou,qu",
	"查": "zha,cha", "盖": "ge,gai", "蓋": "ge,gai", "华": "hua", "華": "hua", "任": "ren", "朴": "piao,pu", "翟": "zhai,di",
	"覃": "qin,tan", "缪": "miao,mou", "繆": "miao,mou", "乐": "yue,le", "樂": "yue,le", "员": "yun,yuan", "員": "yun,yuan",
	"贠": "yun", "逄": "pang", "宓": "mi,fu", "冼": "xian", "洗": "xian,xi", "折": "she,zhe", "黑": "he,hei", "种": "chong,zhong",
	"秘": "bi,mi", "祭": "zhai,ji", "燕": "yan", "繁": "po,fan", "盛": "sheng,cheng", "召": "shao,zhao", "能": "nai,neng",
	"那": "na,nuo", "宿": "su,xiu", "撒": "sa", "尉": "wei,yu", "万": "wan", "萬": "wan", "句": "gou,ju", "於": "yu", "应": "ying",
	"應": "ying", "占": "zhan", "谌": "chen,shen", "諶": "chen,shen", "隗": "wei,kui", "牟": "mu,mou", "相": "xiang", "郇": "xun,huan",
	"乜": "nie,mie", "莘": "shen,xin", "郄": "qie,xi", "郗": "xi,chi", "钭": "tou", "哈": "ha", "厍": "she", "干": "gan", "卜": "bu",
	"柏": "bai,bo", "薄": "bo,bao", "车": "che", "車": "che", "贾": "jia", "賈": "jia", "冯": "feng", "馮": "feng", "强": "qiang",
	"沈": "shen", "颉": "xie,jie", "纪": "ji", "過": "guo", "过": "guo", "阿": "a,e", "长": "zhang,chang", "藏": "zang,cang",
	"石": "shi", "曲": "qu", "晟": "cheng,sheng", "行": "xing,hang", "都": "du,dou", "适": "kuo,shi", "教": "jiao", "令": "ling",
	"幺": "yao", "佴": "nai", "麴": "qu", "炅": "gui,jiong", "桂": "gui", "筰": "zuo", "无": "wu", "佟": "tong", "仝": "tong",
	"吕": "lv,lu,lyu", "呂": "lv,lu,lyu", "闾": "lv,lu",
}

// compoundSurnames gives surnames of two characters, a blank between the syllables.
var compoundSurnames = map[string]string{
	"欧阳": "ou yang", "歐陽": "ou yang", "太史": "tai shi", "端木": "duan mu", "上官": "shang guan", "司马": "si ma", "司馬": "si ma",
	"东方": "dong fang", "東方": "dong fang", "独孤": "du gu", "獨孤": "du gu", "南宫": "nan gong", "南宮": "nan gong",
	"万俟": "mo qi", "萬俟": "mo qi", "闻人": "wen ren", "聞人": "wen ren", "夏侯": "xia hou", "诸葛": "zhu ge", "諸葛": "zhu ge",
	"尉迟": "yu chi", "尉遲": "yu chi", "公羊": "gong yang", "赫连": "he lian", "赫連": "he lian", "澹台": "tan tai", "澹臺": "tan tai",
	"皇甫": "huang fu", "宗政": "zong zheng", "濮阳": "pu yang", "濮陽": "pu yang", "公冶": "gong ye", "太叔": "tai shu",
	"申屠": "shen tu", "公孙": "gong sun", "公孫": "gong sun", "慕容": "mu rong", "仲孙": "zhong sun", "钟离": "zhong li",
	"鍾離": "zhong li", "长孙": "zhang sun", "長孫": "zhang sun", "宇文": "yu wen", "司徒": "si tu", "鲜于": "xian yu", "鮮于": "xian yu",
	"司空": "si kong", "闾丘": "lv qiu", "子车": "zi ju", "亓官": "qi guan", "司寇": "si kou", "巫马": "wu ma", "公西": "gong xi",
	"颛孙": "zhuan sun", "壤驷": "rang si", "公良": "gong liang", "漆雕": "qi diao", "乐正": "yue zheng", "樂正": "yue zheng",
	"宰父": "zai fu", "谷梁": "gu liang", "榖梁": "gu liang", "拓跋": "tuo ba", "夹谷": "jia gu", "轩辕": "xuan yuan", "軒轅": "xuan yuan",
	"令狐": "ling hu", "段干": "duan gan", "百里": "bai li", "呼延": "hu yan", "东郭": "dong guo", "東郭": "dong guo",
	"南门": "nan men", "羊舌": "yang she", "微生": "wei sheng", "梁丘": "liang qiu", "左丘": "zuo qiu", "东门": "dong men",
	"西门": "xi men", "西門": "xi men", "第五": "di wu", "纳兰": "na lan", "納蘭": "na lan", "贺兰": "he lan", "完颜": "wan yan",
	"耶律": "ye lv", "爱新": "ai xin", "单于": "chan yu", "單于": "chan yu",
}

// givenHeteronyms gives characters that names use in more than one reading.
var givenHeteronyms = map[rune]string{
	'乐': "le,yue", '樂': "le,yue", '茜': "qian,xi", '晟': "sheng,cheng", '长': "chang,zhang", '長': "chang,zhang",
	'朝': "chao,zhao", '重': "zhong,chong", '行': "xing,hang", '曾': "zeng,ceng", '单': "dan,shan", '參': "can,shen", '参': "can,shen",
	'佛': "fo,fu", '卡': "ka", '不': "bu", '莘': "shen,xin", '盛': "sheng,cheng", '柏': "bai,bo", '缪': "miao,mou", '贾': "jia",
}
