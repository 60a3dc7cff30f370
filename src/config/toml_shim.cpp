// SPDX-License-Identifier: Apache-2.0
#include "config/toml_shim.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace {

const char *kind_text(const toml::node &node) {
  switch (node.type()) {
  case toml::node_type::table:
    return "a table";
  case toml::node_type::array:
    return "an array";
  case toml::node_type::date:
  case toml::node_type::time:
  case toml::node_type::date_time:
    return "a date or time";
  default:
    return "a value of another type";
  }
}

// Joins an array of strings with commas; false where an element is something else.
bool join(const toml::array &array, std::string &joined) {
  for (const toml::node &element : array) {
    const auto *text = element.as_string();
    if (text == nullptr || text->get().find('\0') != std::string::npos)
      return false;
    joined += joined.empty() ? "" : ",";
    joined += text->get();
  }
  return true;
}

// `storage` keeps the string of the value alive.
titan_value value_of(const toml::node &node, std::string &storage) {
  titan_value value = {};
  value.kind = TITAN_VALUE_OTHER;
  value.string = kind_text(node);
  if (const auto *boolean = node.as_boolean()) {
    value.kind = TITAN_VALUE_BOOL;
    value.boolean = boolean->get();
  } else if (const auto *integer = node.as_integer()) {
    value.kind = TITAN_VALUE_INT;
    value.integer = integer->get();
  } else if (const auto *number = node.as_floating_point()) {
    value.kind = TITAN_VALUE_FLOAT;
    value.number = number->get();
  } else if (const auto *text = node.as_string()) {
    storage = text->get();
    bool whole = storage.find('\0') == std::string::npos;
    value.kind = whole ? TITAN_VALUE_STRING : TITAN_VALUE_OTHER;
    value.string = whole ? storage.c_str() : "a string with a NUL character";
  } else if (const auto *array = node.as_array()) {
    if (join(*array, storage)) {
      value.kind = TITAN_VALUE_LIST;
      value.string = storage.c_str();
    } else {
      value.string = "an array of other things than strings";
    }
  }
  return value;
}

struct setting {
  const toml::key *section, *key; // as in titan_file_item
  const toml::node *node;         // NULL for a section itself
};

toml::source_position place_of(const setting &item) {
  return (item.key != nullptr ? item.key : item.section)->source().begin;
}

// All sections and settings in the order of the file; toml++ keeps them by name.
std::vector<setting> in_order_of_the_file(const toml::table &root) {
  std::vector<setting> all;
  for (auto &&[key, node] : root) {
    const toml::table *table = node.as_table();
    if (table == nullptr) {
      all.push_back({nullptr, &key, &node});
      continue;
    }
    all.push_back({&key, nullptr, nullptr});
    for (auto &&[inner_key, inner] : *table)
      all.push_back({&key, &inner_key, &inner});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const setting &a, const setting &b) { return place_of(a) < place_of(b); });
  return all;
}

void visit_all(const toml::table &root, titan_file_visit visit, void *context) {
  for (const setting &item : in_order_of_the_file(root)) {
    std::string section(item.section != nullptr ? item.section->str() : ""), storage;
    std::string key(item.key != nullptr ? item.key->str() : "");
    titan_file_item found = {};
    found.section = item.section != nullptr ? section.c_str() : nullptr;
    found.key = item.key != nullptr ? key.c_str() : nullptr;
    found.line = static_cast<int64_t>(place_of(item).line);
    if (item.node != nullptr)
      found.value = value_of(*item.node, storage);
    if (!visit(context, &found))
      return;
  }
}

} // namespace

extern "C" bool titan_toml_visit(const char *text, size_t length, titan_file_visit visit, void *context,
                                 titan_toml_error *error) {
  try {
    toml::parse_result result = toml::parse(std::string_view(text, length));
    if (result) {
      visit_all(result.table(), visit, context);
      return true;
    }
    std::string_view message = result.error().description();
    error->line = static_cast<int64_t>(result.error().source().begin.line);
    std::snprintf(error->message, sizeof error->message, "%.*s", static_cast<int>(message.size()), message.data());
  } catch (const std::exception &exception) {
    error->line = 0;
    std::snprintf(error->message, sizeof error->message, "%s", exception.what());
  } catch (...) {
    error->line = 0;
    std::snprintf(error->message, sizeof error->message, "unknown exception");
  }
  return false;
}
