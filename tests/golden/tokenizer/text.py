# SPDX-License-Identifier: Apache-2.0
"""Text of the golden tokenizer, in many scripts so that tokens cross bytes of UTF-8; it was written for this purpose."""
TRAINING = [
    "The river runs past the old mill, and the miller's daughter counts the boats. She's counted nine; they're late.",
    "We've seen the boats before, we'll see them again, and I'm sure that they don't hurry. \"It isn't far,\" he'd said.",
    "When the rain stops, the children run to the river; when the rain returns, they run home again. THE MILL'S OLD.",
    "Der Fluss fließt an der alten Mühle vorbei, und die Tochter des Müllers zählt die Boote. Schöne Grüße, Müller!",
    "La rivière passe près du vieux moulin, et la fille du meunier compte les bateaux. C'est l'été, où l'on est déjà.",
    "El río pasa junto al viejo molino; la niña cuenta los barcos. ¿Cuántos barcos? ¡Nueve barcos, señor, nueve barcos!",
    "Река течёт мимо старой мельницы, и дочь мельника считает лодки. Лодки плывут, река течёт, мельница работает.",
    "Το ποτάμι περνάει από τον παλιό μύλο, και η κόρη του μυλωνά μετράει τις βάρκες. Το ποτάμι, ο μύλος, οι βάρκες.",
    "河水流过老磨坊，磨坊主的女儿在数船。河水流过，船也流过。今天有九条船，明天也有九条船。",
    "川は古い水車小屋のそばを流れ、娘は船を数えている。川は流れ、船は流れ、水車は回る。カタカナとひらがな。",
    "강은 오래된 방앗간 옆을 흐르고, 방앗간 주인의 딸은 배를 센다. 강은 흐르고 배도 흐른다. 오늘은 배가 아홉 척이다.",
    "يجري النهر بجانب الطاحونة القديمة، وابنة الطحان تعد القوارب. النهر يجري والقوارب تجري والطاحونة تدور.",
    "नदी पुरानी चक्की के पास से बहती है, और चक्की वाले की बेटी नावें गिनती है। नदी बहती है, नावें बहती हैं।",
    "แม่น้ำไหลผ่านโรงสีเก่า และลูกสาวของเจ้าของโรงสีนับเรือ แม่น้ำไหล เรือไหล โรงสีหมุน",
    "הנהר זורם ליד הטחנה הישנה, ובתו של הטוחן סופרת את הסירות. הנהר זורם, הסירות שטות.",
    "for (int i = 0; i < 100; i++) {\n    total += values[i];\n    if (total > 1000) {\n        return total;\n    }\n}\n",
    "def total(values):\n\treturn sum(value for value in values if value > 0)\n\n\ndef mean(values):\n\treturn total(values)\n",
    "1234567890 2026-01-31 12:00:00 3.14159 100,000,000 1234567890 0x1f 1e-5 100% 2026-01-31 12:00:00 100,000,000",
    "boats 🚣 and fish 🐟🐟🐟 and boats 🚣🚣 and smiles 😀😀 👩‍👩‍👧‍👦 👩‍👩‍👧‍👦 👍🏽 👍🏽 🇩🇪🇫🇷 🇩🇪🇫🇷",
    "e\u0301te\u0301 de\u0301ja\u0300 e\u0301te\u0301 naïve naïve ﬁne ﬁne Ⅷ Ⅷ ½ ½ ² ² ①②③ ①②③ ٣٤٥ ٣٤٥ १२३ १२३",
    "   three spaces     five spaces\n\n\nlines\r\n\r\ntwo\u00a0hard\u00a0spaces\u3000wide\u3000wide ... ... !!! !!! ?! ?!",
]

HARD = [
    "", " ", "  ", "\n", "\r\n", "\r", "\t", "a", "'", "''", "\u0000", "a\u0000b", "\ufeffa", "\ufffd",
    "The miller's boats", "THE MILLER'S", "'S 'T 'RE 'VE 'M 'LL 'D", "'ſ miller'ſ 'ſt", "we'Ll they'rE I'M he'D don'T",
    "'s't're've'm'll'd", "''s ''ll", "' s", "'\ns", "'1", "'é", "’s don’t", "x'sx x'llx", "'stop 'tis 're 'rest 'very 'lla",
    "<|begin_of_text|>boats<|end_of_text|> <|eot_id|>",
    "12345678901234567890", "1 12 123 1234 12345", "1a2b3c 123abc456", "٣٤٥٦٧٨ १२३४५ Ⅷ½²①", "3.14159e-10 1,000,000 $5.00 5%",
    "   three", "    four spaces", "trailing   ", " \n \n ", "a \n b", "a\n\n\nb", "a\r\nb\r\n\r\nc", "a \r\n\t b", "\n\n  a",
    "\t\tindent\t a", "a  b   c    d", "!!! ...\n\n\nnext", "end.\r\n\r\nnext", " ?!\n x", "a\u00a0b \u00a0 c\u00a0\u00a0d", "\u2003\u2003x",
    "wide\u3000\u3000wide\u3000!", "next\u0085line \u0085 x", "\u2028\u2029 a\u2028b", "\u180ea \u180e\u200b\u200bx", "\u1680a\u202fb\u205fc",
    "e\u0301te\u0301", "\u0301\u0301a", "a\u0301\u0302\u0303b", "x\u0300 \u0300y", "Z\u0351\u036b\u0343a\u0321l\u0348g\u0329o",
    "😀", "😀😀 🐟", "👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷", "❤️ ☎︎ 1️⃣", "a😀b", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\U0001fae8\U0001fadc",
    "河水流过老磨坊，船也流过。", "漢字とカタカナとひらがな", "한국어 방앗간", "ᄒ\u1161\u11ab", "แม่น้ำไหลผ่านโรงสีเก่า", "نهر يجري، ٣ قوارب", "नदी बहती है।",
    "הנהר זורם 5", "Straße STRASSE ẞ", "ǅ ǆ Ǆ", "ﬁne ﬃ", "İstanbul ıI", "ΑΣ ας Ω", "ⅷ ㊗ ㍿ ™ ℃", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛", "𐍈𐌰 𒀀𒀁 𓀀𓁐",
    # assigned in Unicode 15 and 16: letters and digits that older tables do not know
    "\U00031350\U0002ebf0 \U0001e4d0\U0001e4f0 \U000105c0\U00010d4a \U00010d40\U00010d41 \ua7cb\u1c89",
    "\U00011f50\U00011f51\U00011f52\U00011f53 \U00013460a \U0001e5d0\U0001e5f1",
    "\ue000\uf8ff \U000f0000 \U0010ffff \ufffe\uffff", "\u200da\u200d \u2060b \u00adc", "\u0009\u000b\u000c\u001f\u0020x",
    "http://example.org/a_b?c=d&e=f#g", "user@example.org", "snake_case camelCase kebab-case", "{\"key\": [1, 2.5, null]}\n", "a\\nb",
    "river" * 40, "the" * 90 + " " + "boats" * 60, " " * 70 + "x", "\n" * 70, "1234567890" * 20, "!" * 90, "é" * 80, "漢" * 80,
    "\u3000" * 30 + "a", " \n" * 40, "'s" * 40, "a'" * 40,
]

LONG = [("x", 1 << 20), (" ", 1 << 20), ("\n", 1 << 20), ("river", 200000), ("ab", 1 << 19), ("é", 1 << 19), ("漢字", 150000),
        ("7", 1 << 20), ("!", 1 << 20), (" \n", 1 << 19), ("\t \u3000", 200000), ("'s", 1 << 19), ("the river ", 100000)]
