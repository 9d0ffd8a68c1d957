#include "runtime/jinja/builtins/filters.h"

#include <algorithm>

#include "runtime/jinja/builtins/filters_sequence.h"
#include "runtime/jinja/builtins/filters_text.h"

namespace longsight::jinja {
namespace {

struct NamedFilter {
  std::string_view name;
  FilterBody body;
};

// In the order of their names.
constexpr NamedFilter kFilters[] = {
    {"abs", filter::abs},
    {"attr", filter::attr},
    {"batch", filter::batch},
    {"capitalize", filter::capitalize},
    {"center", filter::center},
    {"count", filter::length_of},
    {"d", filter::default_value},
    {"default", filter::default_value},
    {"dictsort", filter::dictsort},
    {"e", filter::escape},
    {"escape", filter::escape},
    {"first", filter::first},
    {"float", filter::real},
    {"forceescape", filter::forceescape},
    {"format", filter::format},
    {"groupby", filter::groupby},
    {"indent", filter::indent},
    {"int", filter::integer},
    {"items", filter::items},
    {"join", filter::join},
    {"last", filter::last},
    {"length", filter::length_of},
    {"list", filter::list},
    {"lower", filter::lower},
    {"map", filter::map},
    {"max", filter::max},
    {"min", filter::min},
    {"reject", filter::reject},
    {"rejectattr", filter::rejectattr},
    {"replace", filter::replace},
    {"reverse", filter::reverse},
    {"round", filter::round},
    {"safe", filter::safe},
    {"select", filter::select},
    {"selectattr", filter::selectattr},
    {"slice", filter::slices},
    {"sort", filter::sort},
    {"string", filter::string},
    {"sum", filter::sum},
    {"title", filter::title},
    {"tojson", filter::tojson},
    {"trim", filter::trim},
    {"truncate", filter::truncate},
    {"unique", filter::unique},
    {"upper", filter::upper},
    {"urlencode", filter::urlencode},
    {"wordcount", filter::wordcount},
    {"xmlattr", filter::xmlattr},
};

// Those of jinja2 that no chat template has a use for: random, or of HTML.
constexpr std::string_view kUnsupported[] = {"filesizeformat", "pprint", "random",
                                             "striptags",      "urlize", "wordwrap"};

}  // namespace

FilterBody find_filter(std::string_view name) {
  const auto* found =
      std::lower_bound(std::begin(kFilters), std::end(kFilters), name,
                       [](const NamedFilter& each, std::string_view value) { return each.name < value; });
  return found != std::end(kFilters) && found->name == name ? found->body : nullptr;
}

bool unsupported_filter(std::string_view name) {
  return std::find(std::begin(kUnsupported), std::end(kUnsupported), name) != std::end(kUnsupported);
}

Value run_filter(Run& run, std::string_view name, const Value& value, Arguments&& arguments) {
  const FilterBody body = find_filter(name);
  if (body == nullptr) refuse("No filter named '{}'.", name);
  return body(run, value, std::move(arguments));
}

}  // namespace longsight::jinja
