#include "model/files/config_reader.h"

#include "runtime/base/json.h"

namespace longsight::model {
namespace {

// Keys that no class of these models has, and that transformers 5.23 looks for in every configuration
// (masking_utils.py, modeling_rope_utils.py, configuration_utils.py, modeling_paligemma.py).
struct ActedUpon {
  const char* key;
  Json only;  // changes nothing
  const char* reason;
};

const std::vector<ActedUpon>& acted_upon() {
  static const std::vector<ActedUpon> all{
      {"is_causal", true, "a token of the language model sees those before it only"},
      {"partial_rotary_factor", 1.0, "every channel of a head is rotated"},
      {"final_logit_softcapping", nullptr, "logits are not capped"},
      {"per_layer_config", Json::object(), "all layers have the shape that the other keys give"},
      {"fusion_config", Json::object(), "layers are computed as the model's class has them"}};
  return all;
}

}  // namespace

ConfigReader::ConfigReader(const Json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  require(object_.is_object(), ExitCode::bad_data, "{}: expected an object", where_);
}

bool ConfigReader::has(const std::string& key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

const Json* ConfigReader::find(const std::string& key) {
  seen_.insert(key);
  if (has(key)) return &object_[key];
  const auto found = defaults_.find(key);
  return found == defaults_.end() || found->is_null() ? nullptr : &*found;
}

const Json& ConfigReader::known(const std::string& key) const {
  const auto found = defaults_.find(key);
  check(has(key) || (found != defaults_.end() && !found->is_null()), "{}: the class of this file has no {}",
        where_, key);
  return has(key) ? object_[key] : *found;
}

template <class T>
void ConfigReader::wrong_type(const std::string& key, const T& expected) const {
  fail(ExitCode::bad_data, "{}: {} must be {}, not {}", where_, key, expected, object_[key].dump());
}

// With a known key the fallback is not used.
i64 ConfigReader::integer(const std::string& key) {
  known(key);
  return integer(key, 0);
}

double ConfigReader::number(const std::string& key) {
  known(key);
  return number(key, 0);
}

bool ConfigReader::boolean(const std::string& key) {
  known(key);
  return boolean(key, false);
}

std::string ConfigReader::text(const std::string& key) {
  known(key);
  return text(key, "");
}

i64 ConfigReader::positive(const std::string& key) {
  known(key);
  return positive(key, 0);
}

i64 ConfigReader::integer(const std::string& key, i64 fallback) {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number_integer() || (value->is_number_unsigned() && value->get<u64>() > u64{1} << 62))
    wrong_type(key, "an integer");
  return value->get<i64>();
}

double ConfigReader::number(const std::string& key, double fallback) {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) wrong_type(key, "a number");
  return value->get<double>();
}

bool ConfigReader::boolean(const std::string& key, bool fallback) {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) wrong_type(key, "true or false");
  return value->get<bool>();
}

std::string ConfigReader::text(const std::string& key, const std::string& fallback) {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) wrong_type(key, "a string");
  return value->get<std::string>();
}

ConfigReader ConfigReader::object(const std::string& key, const Json& absent) {
  seen_.insert(key);
  if (has(key) && !object_[key].is_object()) wrong_type(key, "an object");
  return {has(key) ? object_[key] : absent, where_ + ": " + key};
}

std::string ConfigReader::rope_key() {
  ignore({"rope_scaling", "rope_parameters"});
  return has("rope_scaling") && !object_["rope_scaling"].empty() ? "rope_scaling" : "rope_parameters";
}

const Json* ConfigReader::raw(const std::string& key) {
  return find(key);
}

void ConfigReader::refuse_unless(const std::string& key, const Json& only, const std::string& reason) {
  seen_.insert(key);
  require(!has(key) || object_[key] == only, ExitCode::bad_data, "{}: {} = {} is not supported: {}", where_,
          key, has(key) ? object_[key].dump() : "", reason);
}

i64 ConfigReader::positive(const std::string& key, i64 fallback) {
  const i64 value = integer(key, fallback);
  require(value > 0, ExitCode::bad_data, "{}: {} = {} must be positive", where_, key, value);
  // The product of any two fits into 64 bits.
  require(value < i64{1} << 31, ExitCode::bad_data, "{}: {} = {} is larger than any model has it", where_,
          key, value);
  return value;
}

i64 ConfigReader::token_id(std::initializer_list<const char*> keys, i64 vocab) {
  const char* name = nullptr;
  for (const char* key : keys) {
    if (name == nullptr && has(key)) name = key;
  }
  for (const char* key : keys) {
    if (name == nullptr && find(key) != nullptr) name = key;
  }
  ignore(keys);
  check(name != nullptr, "{}: the class of this file has no {}", where_, *keys.begin());
  const i64 id = integer(name);
  require(id >= 0 && id < vocab, ExitCode::bad_data, "{}: {} {} is outside the vocabulary of {}", where_,
          name, id, vocab);
  return id;
}

i64 ConfigReader::square(const std::string& key) {
  const Json* value = find(key);
  if (value == nullptr || !value->is_array()) return positive(key);
  require(value->size() == 2 && (*value)[0] == (*value)[1] && (*value)[0].is_number_integer() &&
              (*value)[0].get<i64>() > 0 && (*value)[0].get<i64>() < i64{1} << 31,
          ExitCode::bad_data, "{}: {} = {} is not supported: height and width must be equal", where_, key,
          value->dump());
  return (*value)[0].get<i64>();
}

bool ConfigReader::is_null(const std::string& key) const {
  const auto found = object_.find(key);
  return found != object_.end() && found->is_null();
}

void ConfigReader::note_dropout(const std::string& key, std::vector<std::string>& warnings) {
  if (const double rate = number(key, 0); rate != 0)
    warnings.push_back(fmt::format("{}: {} = {} is not applied", where_, key, rate));
}

void ConfigReader::refuse_other_computations() {
  for (const ActedUpon& one : acted_upon()) refuse_unless(one.key, one.only, one.reason);
}

void ConfigReader::note_unread(std::vector<std::string>& warnings) {
  refuse_other_computations();
  for (const std::string& key : unread())
    warnings.push_back(key + " is not known; it is carried over and changes nothing");
}

void ConfigReader::ignore(std::initializer_list<const char*> keys) {
  seen_.insert(keys.begin(), keys.end());
}

std::vector<std::string> ConfigReader::unread() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object_.items()) {
    if (!seen_.contains(key)) keys.push_back(where_ + ": " + key);
  }
  return keys;
}

}  // namespace longsight::model
