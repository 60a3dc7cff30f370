// SPDX-License-Identifier: Apache-2.0
// Kinds of document that inform: recipes, weather, instructions, towns, arithmetic, lists, questions and answers,
// reviews, minutes, entries of an encyclopedia.
#include "corpus_generator/corpus_generate_internal.h"

const char *const titan_generate_kinds[] = {"story",    "life",    "diary",   "letter", "talk", "news",
                                            "recipe",   "weather", "howto",   "town",   "sums", "account",
                                            "question", "review",  "minutes", "entry",  NULL};

const titan_rule_source titan_generate_rules_papers[] = {
    {"recipe.open",
     "{food1} [after {P1}|as they make it in {T1}|for {N1 2 12}{N1.words}]\n\nThis recipe comes from {P1.full}, {a} "
     "{P1.job} "
     "from {T1}. You need:\n- {N2 100 900}{N2} grams of {ingredient}\n- {N3 2 9}{N3} spoons of {ingredient}\n- "
     "{N4 2 9}{N4} {ingredient_count}\n- {a} pinch of {spice}"},
    {"recipe.body", "Then {cook} the {ingredient} [for {N5! 3 90}{N5} minutes|until it is {done}|slowly, over a low "
                    "flame]. {kitchen_truth}"},
    {"recipe.body", "{cook} the {N4 2 9}{N4.words} {ingredient_count}, add the {ingredient} and {cook} everything "
                    "together. {kitchen_truth}"},
    {"recipe.body", "Meanwhile, {cook} {N5! 2 6}{N5.words} {ingredient_count} in {ingredient}. {P1} {adv} adds {a} "
                    "little {spice}. {fact_town}"},
    {"recipe.body", "for twice as many guests, take {N6! 2 20}{N7! 2 2}{N8! = N6 * N7}{N8} {ingredient_count} instead "
                    "of {N6}. {event}"},
    {"recipe.body", "{event} {kitchen_truth} {fact_person}"},
    {"recipe.close",
     "Serve {done}, with {food} and {a} glass of [water|wine|milk|cider]. {P1.petname}, the {P1.pet}, gets the rest."},
    {"ingredient", "flour"},
    {"ingredient", "butter"},
    {"ingredient", "milk"},
    {"ingredient", "sugar"},
    {"ingredient", "cream"},
    {"ingredient", "rice"},
    {"ingredient", "cheese"},
    {"ingredient", "honey"},
    {"ingredient", "buckwheat"},
    {"ingredient_count", "eggs"},
    {"ingredient_count", "onions"},
    {"ingredient_count", "potatoes"},
    {"ingredient_count", "carrots"},
    {"ingredient_count", "apples"},
    {"ingredient_count", "lemons"},
    {"ingredient_count", "anchovies"},
    {"spice", "salt"},
    {"spice", "pepper"},
    {"spice", "nutmeg"},
    {"spice", "thyme"},
    {"spice", "saffron"},
    {"cook", "boil"},
    {"cook", "fry"},
    {"cook", "stir"},
    {"cook", "bake"},
    {"cook", "simmer"},
    {"cook", "whisk"},
    {"done", "hot"},
    {"done", "golden brown"},
    {"done", "soft"},
    {"done", "cold"},
    {"kitchen_truth", "Never {cook} {ingredient} and {ingredient} in the same pan."},
    {"kitchen_truth", "The more {ingredient}, the better."},
    {"kitchen_truth", "{^}{ingredient} from {T2} is the best."},
    {"kitchen_truth", "If it is not {done} by then, {cook} it again for {N9! 2 30}{N9} minutes."},
    {"kitchen_truth", "In {T2.region}, they use {ingredient} instead of {ingredient}."},

    {"weather.open", "Weather for {T1.region}, {weekday}, {date}\n\nThe day begins {sky} in {T1}, with {N1 -9 30}{N1} "
                     "degrees at {time}. "
                     "The wind blows from the {wind}."},
    {"weather.body", "in {T2}, it will be {sky}; {N2! 1 9}{N1} degrees and {N2} more make {N3! = N1 + N2}{N3} degrees "
                     "by noon. {advice}"},
    {"weather.body",
     "towards evening, {sky} in the [north|south|east|west]. Along the {T2.river} expect {N4! 2 60}{N4} millimetres of "
     "[rain|snow|hail], {N5! 2 9}{N5} more than last {weekday}. {advice}"},
    {"weather.body", "{P1.full}, who {verb.s} {noun.s} {where}, says that {truth} {advice}"},
    {"weather.body", "{weekday}: {sky}, wind {wind}, {N6! -5 29}{N6} degrees.\n{weekday}: {sky}, wind {wind}, {N6! -5 "
                     "29}{N6} degrees.\n"
                     "{weekday}: {sky}, wind {wind}, {N6! -5 29}{N6} degrees."},
    {"weather.close", "The next report follows at {time}."},
    {"sky", "cloudy"},
    {"sky", "clear"},
    {"sky", "rainy"},
    {"sky", "foggy"},
    {"sky", "stormy"},
    {"sky", "with light snow"},
    {"sky", "with sunshine and showers"},
    {"wind", "west"},
    {"wind", "north-west"},
    {"wind", "south"},
    {"wind", "east"},
    {"wind", "south-east"},
    {"advice", "{^}{job.s} should {verb} their {noun.s} before {time}."},
    {"advice", "Take {a} [coat|hat|scarf|umbrella] with you, and leave the {noun} at home."},
    {"advice", "The road to {T2} may be closed."},
    {"advice", "It was last as {adj} as this in {year}."},

    {"howto.open",
     "How to {verb1} {a} {noun1}\n\n[{^}{verb.ing} {a} {noun1} is easier than it looks|Every {job} can {verb1} {a} "
     "{noun1}|Many people want to {verb1} {a} {noun1}, but few know how]. You will need {a} {noun2}, some {material1} "
     "and "
     "{N1 2 9}{N1.words} {noun3.s}."},
    {"howto.body",
     "First, {verb} the {noun2}. Then {verb} the {noun1} with {material1}, and {verb} it {where}. {truth}"},
    {"howto.body", "Take the {N1.words} {noun3.s} and {verb} them {adv}. {truth} {truth}"},
    {"howto.body", "1. {^}{verb} the {noun3.s}.\n2. {^}{verb} {thing} {where}.\n3. {^}wait {N2! 2 60}{N2} minutes.\n4. "
                   "{^}{verb} the {noun1} again."},
    {"howto.body", "{a} common mistake is to {verb} the {noun1} before the {noun2} is {adj}. {P1.full}, {a} {P1.job}, "
                   "{verb.past} {thing} that "
                   "way {when}. {event}"},
    {"howto.body", "make sure that the {noun2} is {adj} but not {adj}: {a} {adj} {noun2} cannot be {verb.pp}. {truth}"},
    {"howto.body", "{link}use {material1}, never {material}. {truth} {event}"},
    {"howto.close", "That is all. Your {noun1} is now {verb1.pp}, and it should stay {adj} for {N3 2 30}{N3} years."},

    {"town.open", "{T1} is {a} town in {T1.region}, on the river {T1.river}. It was founded in {T1.founded} and has "
                  "{T1.people} inhabitants, "
                  "who are known for their {T1.product}."},
    {"town.body", "the {place} of {T1} was built in {year} by {P1.full}, {a} {P1.job} from {P1.town}. {truth} {event}"},
    {"town.body", "every year in {month}, the people of {T1} {verb} {a} {noun1} {where}. The tradition goes back to "
                  "{P2.full}, who {verb.past} "
                  "{thing} there. {event}"},
    {"town.body", "{T2}, {N1! 2 60}{N1} miles away, lies in {T2.region} and was founded in {T2.founded}. {T2.people} "
                  "people live there. {truth}"},
    {"town.body", "{N2! 100 900}{N2} of the {T1.people} inhabitants work as {job1.s}, {N3! 100 900}{N3} as {job2.s}; "
                  "that makes {N4! = N2 + N3}"
                  "{N4}. {truth} {truth}"},
    {"town.body", "{when}, {a} {adj} {noun} was found {where}. Since then the museum shows {things}, {things} and "
                  "{things}. {event}"},
    {"town.close", "Trains to {T2} leave every {N5 10 50}{N5} minutes. See also: {T2}, {T1.region}, {noun1}."},

    {"sums.open", "Exercises for {weekday}\n\n{P1} has {N1 5 60}{N1} {noun1.s} and {P2} has {N2 5 60}{N2}. Together "
                  "they have {N3 = N1 + N2}{N3} "
                  "{noun1.s}."},
    {"sums.body", "{a} {noun} costs {N4! 2 12}{N4} crowns. {N5! 2 12}{N5.words} {noun.s} cost {N6! = N4 * N5}{N6} "
                  "crowns, for {N4} times {N5} is "
                  "{N6}."},
    {"sums.body", "{P1} had {N7! 40 99}{N7} {noun1.s} and {verb.past} {N8! 2 39}{N8} of them. Now {P1.he} has {N9! = "
                  "N7 - N8}{N9}, because {N7} − {N8} = {N9}."},
    {"sums.body", "{N4! 2 99}{N4} + {N5! 2 99}{N5} = {N6! = N4 + N5}{N6}\n{N4! 2 20}{N4} × {N5! 2 20}{N5} = {N6! = N4 "
                  "* N5}{N6}\n{N5! 2 50}{N4! 50 99}{N4} − {N5} = "
                  "{N6! = N4 - N5}{N6}\n{N4! 100 900}{N4} + {N5! 10 99}{N5} = {N6! = N4 + N5}{N6}"},
    {"sums.body", "{sum}. {sum}. {sum}. {truth}"},
    {"sums.body", "question: {P2.full} was born in {P2.born}. How old was {P2.he} {N4! 5 60}{N4} years later? Answer: "
                  "{N4}, of course!"},
    {"sums.body", "one {noun2} weighs {N4! 2 12}{N4} pounds. How much do {N5! 2 12}{N5} {noun2.s} weigh? {N5} times "
                  "{N4} is {N6! = N5 * N4}{N6}, so they weigh {N6} pounds. "
                  "{event}"},
    {"sums.close", "And how many {noun1.s} did {P1} and {P2} have together? {N3}."},

    {"account.open", "List of {noun.s} and other things at the {place} of {T1}, {date}\n\n- {N1 2 90}{N1} {noun1.s}, "
                     "{adj}\n- {N2 2 90}{N2} {noun2.s}, {adj}\n"
                     "- {noun1.s} and {noun2.s} together: {N3 = N1 + N2}{N3}"},
    {"account.body", "- {N4! 2 90}{N4} {adj} {noun.s} ({colour})\n- {N4! 2 90}{N4} {adj} {noun.s}, {verb.pp} by "
                     "{P1}\n- {N4! 2 9}{N4} sacks of {material}, at {N5! 2 12}{N5} crowns: "
                     "{N6! = N4 * N5}{N6} crowns\n- {a} {adj.un} {noun}, from {T2}"},
    {"account.body",
     "- {colour} {noun.s}: {N4! 2 500}{N4}\n- {colour} {noun.s}: {N5! 2 500}{N5}\n- both: {N6! = N4 + N5}{N6}"},
    {"account.body", "Remark by {P1.full}, {P1.job}: {^}{truth} {event}"},
    {"account.close", "Signed in {T1} by {P1.full} and {P2.full}. {N3} {noun1.s} and {noun2.s}, {adv} counted."},

    {"question.open", "Questions and answers about {noun1.s}\n\nQ: {^}{question}?\nA: {^}{truth}"},
    {"question.body", "Q: {^}{question}?\nA: {^}{truth} {truth}"},
    {"question.body",
     "Q: Who is {P2.full}?\nA: {P2} is {a} {P2.job}. {P2.he} was born in {P2.born} and lives in {P2.town}."},
    {"question.body",
     "Q: Where is {T2}?\nA: {T2} lies on the {T2.river} in {T2.region}. {T2.people} people live there."},
    {"question.body", "Q: What is {N1! 2 12}{N1} times {N2! 2 12}{N2}?\nA: {N3! = N1 * N2}{N3}.\n\nQ: {^}can {a} "
                      "{noun1} be {verb.pp} {where}?\nA: [yes|no|sometimes|only "
                      "in {month}]. {truth}"},
    {"question.body",
     "Q: What does {P3} like to eat?\nA: {^}{P3.food}. {P3.his} {P3.pet}, {P3.petname}, likes it too. {event}"},
    {"question.body", "Q: {^}why do {job.s} {verb} {noun1.s}?\nA: {^}because {noun1.s} are {adj}. {truth} {truth}"},
    {"question.close", "More questions? Write to {P1.full}, {N4 1 99}{N4} {X1} Street, {T1}."},

    {"review.open", "[{N1 1 5}{N1} of 5 stars|Disappointed|Quite {adj}|Better than I thought]\n\nI bought this {adj1} "
                    "{noun1} from the {X1} company in {T1} "
                    "{when}, for {N2 5 90}{N2.money}. My old one was {adj}, {adj} and hard to {verb1}."},
    {"review.body", "the {noun1} is {verb.able}, and the {noun2} is {adj}. {truth} {event}"},
    {"review.body", "what I did not like: the {noun2} is {adj.un}, and {X1} {adv} forgets to send the {noun3}. "
                    "“{say},” they wrote to me. {truth}"},
    {"review.body", "my friend {P1}, {a} {P1.job}, {verb.past} {P1.his} {noun1} {where}. {event} {event}"},
    {"review.body",
     "for {N2 5 90}{N2.money} you also get {a} {noun3}, {N3! 2 9}{N3.words} {noun.s} and some {material}. {truth}"},
    {"review.body", "after {N4! 2 30}{N4} weeks, the {adj1} {noun1} from {X1} was still {adj}. {link}{truth}"},
    {"review.close", "All in all, I would {adv} {verb} the {noun1} again. Thank you, {X1}!"},

    {"minutes.open", "Minutes of the meeting of {date1}\n\nPlace: the {place} of {T1}. Present: {P1.full} ({P1.job}), "
                     "{P2.full} ({P2.job}), {P3.full} ({P3.job}). "
                     "Beginning: {time1}. Subject: the {adj1} {noun1}."},
    {"minutes.body", "{P1.title} {P1.family} reports that the {noun1} has been {verb.pp}. {P2.title} {P2.family} asks "
                     "{question_reported}. {truth}"},
    {"minutes.body", "vote: shall the {noun2} be {verb.pp} {where}? In favour: {N1! 2 40}{N1}; against: {N2! 2 "
                     "40}{N2}; votes cast: {N3! = N1 + N2}{N3}."},
    {"minutes.body", "{P3.title} {P3.family}, {P3.job} from {P3.town}, wants to {verb} {things}. {event} {truth}"},
    {"minutes.body", "costs: {N4! 2 12}{N4} {noun.s} at {N5! 2 12}{N5} crowns each, {N6! = N4 * N5}{N6} crowns in all. "
                     "{P2} objects: “{say}.”"},
    {"minutes.close",
     "The meeting of {date1}, which began at {time1}, ends {adv}. Next subject: the {noun2}. Signed: {P1.full}."},

    {"entry.open", "{noun1}, plural {noun1.s}. {a} {noun1} is {a} {adj} {noun} used by {job1.s} {where}. The word "
                   "“{noun1}” is first found in {N1 1200 1890}{N1}, in "
                   "{a} letter by {P1.full}."},
    {"entry.body", "to {verb1}: one who {verb1.s} is {a} {verb1.agent}; what can be {verb1.pp} is {verb1.able}; what "
                   "was {verb1.pp} twice was {verb1.re}. {truth}"},
    {"entry.body", "{adj1}: {adj1.ness} is what makes {a} {noun} {adj1}; to do something {adj1.ly} is not to do it "
                   "{adj.ly}. The opposite is {adj1.un}. {truth}"},
    {"entry.body", "history. {event} In {year}, {P2.full} of {P2.town} {verb.past} the first {adj} {noun1}. {truth}"},
    {"entry.body", "use. {truth} {truth} {truth}"},
    {"entry.body", "in other towns. In {T2} ({T2.region}), {a} {noun1} is called {a} “{X1}”, and two of them {X1}s. "
                   "{fact_town} {truth}"},
    {"entry.body", "making. {a} {noun1} is made of {material1} and {material2}. {job1.s} {adv} {verb} {noun1.s} with "
                   "{a} {noun2}. {event}"},
    {"entry.close", "See also: {noun2}; {noun3}; {material1}; {topic}."},
    {NULL, NULL},
};
