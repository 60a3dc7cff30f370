// SPDX-License-Identifier: Apache-2.0
// People and towns: a few thousand of each, whose facts follow from their number alone, so that every document that
// mentions one agrees with all the others and a model has something to remember.
#include "base/memory.h"
#include "corpus_generator/corpus_generate_internal.h"

#include <stdio.h>
#include <string.h>

static const char *const first_names_she[] = {
    "Anna",    "Clara",     "Maria",   "Ruth",   "Elena",   "Ingrid", "Sofia",  "Zoë",       "Chloé", "Amara",
    "Beatrix", "Dorothea",  "Eleanor", "Freya",  "Greta",   "Hannah", "Isabel", "Jana",      "Katya", "Leila",
    "Martha",  "Noémie",    "Olga",    "Petra",  "Renée",   "Selma",  "Tamsin", "Ursula",    "Vera",  "Wilma",
    "Yasmin",  "Zeynep",    "Aïcha",   "Brigid", "Célia",   "Dagmar", "Edith",  "Françoise", "Gwen",  "Helga",
    "Irena",   "Josephine", "Kaja",    "Lucía",  "Mirembe", "Nadia",  "Odette", "Priya",     "Rosa",  "Siobhán"};
static const char *const first_names_he[] = {
    "Peter",  "Thomas",  "Jakob", "Henrik", "Anton",  "Marcus", "José",   "René",    "Björn",   "Ahmed",
    "Conrad", "David",   "Emil",  "Felix",  "Gustav", "Harold", "Isaac",  "Jonas",   "Karl",    "Leo",
    "Matteo", "Nikolai", "Oskar", "Pavel",  "Ravi",   "Samuel", "Tobias", "Ulrich",  "Viktor",  "Walter",
    "Yusuf",  "Zoltán",  "André", "Bram",   "Cædmon", "Dmitri", "Edgar",  "Florian", "Günther", "Hugo",
    "Ivan",   "Jörg",    "Kofi",  "Łukasz", "Miguel", "Niamke", "Ørjan",  "Piotr",   "Rafael",  "Søren"};
static const char *const name_starts[] = {
    "Ash",   "Bell",   "Black", "Brook", "Cald", "Carl", "Corn",   "Dun",  "East",  "Elm",   "Fair", "Fen",
    "Glen",  "Gold",   "Green", "Hall",  "Hart", "Haw",  "High",   "Holm", "Iron",  "Kel",   "Kirk", "Lang",
    "Lin",   "Long",   "Mar",   "Mill",  "Moor", "New",  "North",  "Oak",  "Old",   "Pen",   "Pine", "Rad",
    "Raven", "Red",    "Rock",  "Rose",  "Salt", "Sand", "Silver", "Stan", "Stone", "Strat", "Swan", "Thorn",
    "Walls", "Wester", "Whit",  "Wind",  "Win",  "Wolf", "Wood",   "Wren", "Yar"};
static const char *const town_ends[] = {"bury",    "ford",  "ham",   "ton",   "wick",   "field",
                                        "bridge",  "mouth", "haven", "stead", "dale",   "port",
                                        "minster", "by",    "worth", "combe", "cliffe", "market"};
static const char *const family_ends[] = {"man",   "son",    "wood",  "ley",  "well",  "ridge", "er",
                                          "smith", "wright", "more",  "gate", "croft", "brook", "lock",
                                          "berg",  "stein",  "ström", "ner",  "hurst", "ward"};
static const char *const syllable_starts[] = {"b", "br", "d", "dr", "f",  "g", "gr", "h", "k", "kl", "l",  "m",
                                              "n", "p",  "r", "s",  "st", "t", "tr", "v", "w", "z",  "th", "sh"};
static const char *const syllable_middles[] = {"a", "e", "i", "o", "u", "ai", "ea", "ou", "é", "ö", "ia", "oo"};
static const char *const syllable_ends[] = {"", "n", "r", "l", "s", "m", "k", "nd", "rn", "x", "", "th"};
static const char *const regions[] = {"Northmark",        "Westerlund",    "Harrowshire",      "the Salt Coast",
                                      "Upper Verania",    "Lower Verania", "the Elder Hills",  "Kestrel Bay",
                                      "the Grey Plains",  "Ostmoor",       "the Lake Country", "Saint-Rémy",
                                      "the Amber Valley", "Torvald Island"};
static const char *const pets_names[] = {"Pepper", "Biscuit", "Moss",   "Button",  "Caesar", "Duchess",
                                         "Figaro", "Ginger",  "Hazel",  "Juniper", "Kipper", "Lightning",
                                         "Marble", "Nutmeg",  "Otto",   "Pickle",  "Quill",  "Rusty",
                                         "Shadow", "Thimble", "Velvet", "Whisky",  "Ziggy",  "Captain"};

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof(array)[0]))

// splitmix64 over the thing, its number and the fact that is asked for.
static uint64_t fact(char thing, uint32_t index, uint32_t which) {
  uint64_t z = ((uint64_t)(unsigned char)thing << 56 ^ (uint64_t)which << 32 ^ index) + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static int fact_below(char thing, uint32_t index, uint32_t which, uint32_t count) {
  return (int)((fact(thing, index, which) >> 32) % count);
}

void titan_world_invent_name(uint64_t bits, char out[40]) {
  int syllables = 2 + (int)(bits % 2);
  size_t used = 0;
  bits /= 2;
  for (int i = 0; i < syllables; i++) {
    const char *start = syllable_starts[bits % COUNT(syllable_starts)];
    bits /= COUNT(syllable_starts);
    const char *middle = syllable_middles[bits % COUNT(syllable_middles)];
    bits /= COUNT(syllable_middles);
    const char *end = syllable_ends[bits % COUNT(syllable_ends)];
    bits /= COUNT(syllable_ends);
    used += (size_t)snprintf(out + used, 40 - used, "%s%s%s", start, middle, end);
  }
  out[0] = (char)(out[0] - 'a' + 'A');
}

void titan_world_person(const titan_lexicon *lexicon, uint32_t index, titan_person *out) {
  out->she = fact_below('p', index, 0, 2) == 0;
  const char *first = out->she ? first_names_she[fact_below('p', index, 1, COUNT(first_names_she))]
                               : first_names_he[fact_below('p', index, 1, COUNT(first_names_he))];
  snprintf(out->first, sizeof out->first, "%s", first);
  if (fact_below('p', index, 2, 3) == 0)
    titan_world_invent_name(fact('p', index, 3), out->family);
  else
    snprintf(out->family, sizeof out->family, "%s%s", name_starts[fact_below('p', index, 3, COUNT(name_starts))],
             family_ends[fact_below('p', index, 4, COUNT(family_ends))]);
  out->topic = (int)(index % (uint32_t)titan_generate_topic_count);
  out->job = fact_below('p', index, 5, (uint32_t)titan_lexicon_list(lexicon, out->topic, TITAN_WORD_JOB)->count);
  out->town = fact_below('p', index, 6, TITAN_WORLD_TOWNS);
  out->born = 1880 + fact_below('p', index, 7, 120);
  out->pet = fact_below('p', index, 8, (uint32_t)titan_lexicon_list(lexicon, -1, TITAN_WORD_ANIMAL)->count);
  out->colour = fact_below('p', index, 9, (uint32_t)titan_lexicon_list(lexicon, -1, TITAN_WORD_COLOUR)->count);
  out->food = fact_below('p', index, 10, (uint32_t)titan_lexicon_list(lexicon, -1, TITAN_WORD_FOOD)->count);
  snprintf(out->pet_name, sizeof out->pet_name, "%s", pets_names[fact_below('p', index, 11, COUNT(pets_names))]);
}

void titan_world_town(const titan_lexicon *lexicon, uint32_t index, titan_town *out) {
  if (fact_below('t', index, 0, 4) == 0)
    titan_world_invent_name(fact('t', index, 1), out->name);
  else
    snprintf(out->name, sizeof out->name, "%s%s", name_starts[fact_below('t', index, 1, COUNT(name_starts))],
             town_ends[fact_below('t', index, 2, COUNT(town_ends))]);
  titan_world_invent_name(fact('t', index / 5, 3), out->river); // neighbours share a river
  out->region = (int)(index / 5 % COUNT(regions));
  out->founded = 900 + fact_below('t', index, 4, 980);
  out->people = (fact_below('t', index, 5, 95) + 5) * (fact_below('t', index, 6, 4) == 0 ? 1000 : 100);
  out->product_topic = fact_below('t', index, 7, (uint32_t)titan_generate_topic_count);
  out->product =
      fact_below('t', index, 8, (uint32_t)titan_lexicon_list(lexicon, out->product_topic, TITAN_WORD_MATERIAL)->count);
}

const char *titan_world_region(int region) {
  return regions[region];
}

const char *titan_world_month(uint32_t month) {
  static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                       "July",    "August",   "September", "October", "November", "December"};
  return months[month % 12];
}

const char *titan_world_weekday(uint32_t day) {
  static const char *const days[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
  return days[day % 7];
}
