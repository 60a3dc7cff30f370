// SPDX-License-Identifier: Apache-2.0
// Kinds of document that tell something: stories, biographies, diaries, letters, dialogues, news. What is told at first
// (P1's trade, pet and town, noun1, noun2, N1, N2) comes back later.
#include "corpus_generator/corpus_generate_internal.h"

const titan_rule_source titan_generate_rules_stories[] = {
    {"story.open",
     "[The {adj1} {noun1}|{P1}’s {noun1}|{P1} and the {noun1}|The {job} of {T1}]\n\n[Once upon a time|Long ago|Many "
     "years ago|In {year1}] there lived {a} {P1.job} called {P1.full} {where}, in {T1}. {P1.he} had {a} {P1.pet} "
     "named {P1.petname}, {N1 2 20}{N1.words} {noun2.s} and {a} {adj1} {noun1}."},
    {"story.open",
     "When {P1.full} woke up {when}, the {noun1} was gone. “{P1.petname}!” {P1.he} called, but the {P1.pet} only "
     "looked at {P1.him}. {P1} was {a} {P1.job}; without {a} {noun1}, {P1.he} could not {verb1} anything. {N1 2 20}"
     "{N1} {noun2.s} were left, and it was {weekday1}."},
    {"story.open",
     "{P1} lived in {T1} and {P2} lived in {T2}. {P1} was {a} {P1.job} and {P2} was {a} {P2.job}. {^}[both "
     "wanted|neither of them had] the {adj1} {noun1}. {P1} owned {N1 2 30}{N1} {noun2.s}, {P2} owned {N2 2 30}{N2}; "
     "together they had {N3 = N1 + N2}{N3}."},
    {"story.body", "{event} {event} {event}"},
    {"story.body", "{event} {event} {event} {event} {event}"},
    {"story.body",
     "{when}, {P1.he} met {P3.full}, {a} {P3.job} from {P3.town}. {P3} {verb.past} the {noun}. “{question}?” {P3.he} "
     "asked. “{say},” said {P1}. {event}"},
    {"story.body",
     "{P1} still had the {N1.words} {noun2.s}. {P1.he} {verb.past} them [one by one|{adv}|{where}]. {event} {event}"},
    {"story.body", "“{say},” said {P1}.\n\n“{say},” said {P2}.\n\n“{question}?”\n\n“{say}.”"},
    {"story.body",
     "then {P1.petname}, the {P1.pet}, {verb.past} {thing}. {^}[that was {adj} of {P1.petname}|Nobody had taught "
     "{P1.petname} that]. {event} {truth}"},
    {"story.body", "{truth} {^}{P1} knew that, for {P1.he} was {a} {P1.job}. {event} {event}"},
    {"story.body", "in {T2}, {where}, {P1.he} saw {thing} and {thing}. {fact_town} {event} {P1.he} was {feeling}, and "
                   "{P1.petname} was "
                   "{feeling} too."},
    {"story.close",
     "So {P1} went back to {T1}, to {P1.his} {P1.pet} and {P1.his} {N1.words} {noun2.s}, and the {adj1} {noun1} was "
     "never {verb.pp} again."},
    {"story.close",
     "{P1} gave the {noun1} to {P2}, and {P2} gave {P1} {N4 2 9}{N4.words} {noun2.s}. Now {P1.he} had {N5 = N1 + "
     "N4}{N5}. {P1.petname} was {feeling}. And that is the end of the story."},
    {"story.close",
     "From that day on, {P1.full} {verb.past} no {noun.s} any more; and if {P1.he} has not moved away, {P1.he} still "
     "lives {where}, in {T1}, with {P1.petname}."},

    {"life.open",
     "{P1.full}\n\n{P1.full} (born {P1.born} in {P1.town}) [is|was] {a} {adj} {P1.job}[, best known for {P1.his} "
     "{noun1.s}|, {job} and {job}]. {P1.he} grew up {where}, where {P1.his} father was {a} {job} and {P1.his} mother "
     "{a} {job}."},
    {"life.body", "at the age of {N1! 6 60}{N1}, {P1.he} {verb.past} {P1.his} first {noun1}. {event} {event}"},
    {"life.body", "in {year}, {P1} moved to {T2}, {a} town on the {T2.river} in {T2.region}. There {P1.he} {verb.past} "
                  "{things} and met "
                  "{P2.full}, {a} {P2.job} born in {P2.born}. {event}"},
    {"life.body", "{P1.he} wrote {N2! 2 15}{N2.words} books, among them “The {adj} {noun.s}”, “{^}{noun.s} and "
                  "{noun.s}” and “{^}{a} "
                  "{noun} for {P2}”. {truth}"},
    {"life.body", "{P1} was fond of {P1.food} and always wore {P1.colour}. {P1.his} {P1.pet}, {P1.petname}, "
                  "{verb.past} {thing} {adv}. "
                  "{event}"},
    {"life.body", "critics called {P1.his} work {adj}, {adj} and “{adj.un}”. {truth} {truth}"},
    {"life.close", "{P1} never left {P1.town} again. {^}the {place} there is named after {P1.him}, and {a} {noun1} "
                   "stands in front of it."},
    {"life.close", "Today the {P1.family} house in {P1.town}, on the river {T1.river}, is {a} museum of {noun1.s}."},

    {"diary.open",
     "{weekday}, {date}\n\nDear diary, today I {verb.past} the {noun1} {where}. {P2} came with {P2.his} {P2.pet} "
     "{P2.petname}. It was {adj}. I have {N1 3 40}{N1} {noun2.s} now."},
    {"diary.body", "{weekday}, {date}\n\nToday {P2} and I {verb.past} {things}. {fact_person} {truth} I am {feeling}."},
    {"diary.body", "{weekday}\n\nI {adv} {verb.past} {thing} {where}, and {P3} {verb.past} {thing}. {N2! 2 "
                   "9}{N2.words} {noun2.s} broke, "
                   "so {N1 3 40} less {N2} leaves {N4! = N1 - N2}{N4}. “{say},” said {P2}, and I believe {P2.him}."},
    {"diary.body",
     "{date}\n\nRain all day. Ate {food} and {food}. Thought about {T2}, about the {place}, about {P3.full}’s {noun}. "
     "{event}"},
    {"diary.body", "{weekday}, at {time}\n\nThe {noun1} again! {event} {event} I could not sleep."},
    {"diary.close", "{weekday}, {date}\n\nThis is the last page. {P2} says goodbye, and so does {P2.petname}. The "
                    "{noun1} is {adj} at last."},

    {"letter.open",
     "{T1}, {date}\n\nDear {P2},\n\n[thank you for your letter|I hope you are well|I am {feeling} to hear from you]. "
     "Here in {T1} everything is {adj}, and the {noun1} you sent has been {verb.pp}. {P1.petname}, my {P1.pet}, sends "
     "you greetings."},
    {"letter.open",
     "Dear {P2.title} {P2.family},\n\nI am writing to you about the {noun1} which I {verb.past} at your {place} on "
     "{date}. It was {adj} and not {adj}, as your catalogue promised. I paid {N1 5 90}{N1.money} for it."},
    {"letter.body", "you asked {question_reported}. {truth} {event}"},
    {"letter.body", "do you remember {P3.full}, the {P3.job} from {P3.town}? {P3.he} {verb.past} {thing} {when} and "
                    "was {feeling}. {event}"},
    {"letter.body", "{event} {event} {truth}"},
    {"letter.body",
     "the weather is {weather_word}, and the {place} is full of {noun.s}. {link}I {verb} {things} every {weekday}."},
    {"letter.body", "could you send me {N2! 2 9}{N2.words} {noun.s} and some {material}? One {noun} costs {N3! 2 "
                    "9}{N3.money} here, so "
                    "{N2.words} of them cost {N4! = N2 * N3}{N4.money}."},
    {"letter.close", "Please write soon[, and do not forget the {noun1}|].\n\nYours {adv},\n{P1.full}"},
    {"letter.close",
     "With kind regards,\n{P1.full}, {P1.job}\n\nP.S. {P2.food} is what we shall eat when you come to {T1}!"},
    {"question_reported", "who {verb.past} the {noun1}"},
    {"question_reported", "whether the {noun2} is still {adj}"},
    {"question_reported", "how {a} {job} {verb.s} {a} {noun}"},
    {"question_reported", "what became of {P3}"},
    {"weather_word", "wet"},
    {"weather_word", "dry and cold"},
    {"weather_word", "stormy"},
    {"weather_word", "warm for {month}"},
    {"weather_word", "foggy until {time}"},

    {"talk.open", "A conversation {where}. Present: {P1.full}, {P1.job}; {P2.full}, {P2.job}[; {P3.full}, "
                  "{P3.job}|].\n\n{P1}: {^}{say}.\n"
                  "{P2}: {^}{question}?"},
    {"talk.body", "{P1}: {^}{say}.\n{P2}: {^}{question}?\n{P1}: {^}{say}. {truth}"},
    {"talk.body", "{P2}: {^}{say}. {^}{say}.\n{P1}: {^}{question}?\n{P2}: {^}[no|yes|perhaps|certainly not], {say}."},
    {"talk.body", "{P1}: {^}what is {N1! 2 12}{N1} times {N2! 2 12}{N2}?\n{P2}: {^}{N3! = N1 * N2}{N3}, of "
                  "course.\n{P1}: {^}right. And "
                  "{N3} plus {N4! 2 50}{N4}?\n{P2}: {N5! = N3 + N4}{N5}."},
    {"talk.body", "{P1}: {^}where do you come from?\n{P2}: {^}from {P2.town}. I was born there in {P2.born}.\n{P1}: "
                  "{^}and your {P2.pet}?\n"
                  "{P2}: {P2.petname}? {say}."},
    {"talk.body", "{P2}: {^}{fact_town}\n{P1}: {^}I did not know that. {truth}"},
    {"talk.close", "{P1}: {^}well, {P2}, I must {verb} the {noun1} now.\n{P2}: {^}goodbye, {P1}!"},

    {"news.open", "{P1.job} [loses|finds|wins|saves] {adj1} {noun1}\n\n{T1}, {date1} — {a} {P1.job} from {T1}, "
                  "{P1.full}, [lost|found|won|"
                  "saved] {a} {adj1} {noun1} on {weekday1}, the {place} reported. The {noun1} is said to be worth {N1 "
                  "100 9000}{N1} crowns."},
    {"news.body", "“{say},” {P1.full} told this newspaper. {event}"},
    {"news.body", "the mayor of {T1}, {P2.full}, called the {noun1} “{adj}, if not {adj}”. {P2.he} {verb.past} "
                  "{things} {where} in {year}. "
                  "{fact_town}"},
    {"news.body",
     "according to {P3.full}, {a} {P3.job} who {verb.s} {noun.s} {where}, {truth} Asked about it, {P1} said: “{say}.”"},
    {"news.body",
     "it is the {N2! 2 20}{N2.ordinal} time since {year} that {a} {noun} has been {verb.pp} in {T1}. {event}"},
    {"news.body",
     "some {N3! 20 900}{N3} people came to the {place}; {N4! 2 19}{N4} of them had to be {verb.pp}. {event} {event}"},
    {"news.close", "The {noun1} can be seen {where} until {date}."},
    {"news.close", "{P1.full} plans to {verb} the {noun1} before the end of {month}. {P1.his} {P1.pet}, {P1.petname}, "
                   "could not be reached "
                   "for comment."},
    {NULL, NULL},
};
