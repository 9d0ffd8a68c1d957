// The command line as the verbs see it. CLI11 stands behind it, in command_line.cpp alone: its header takes
// the compiler longer than all of ours, and each file that adds an option would instantiate it anew.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/number.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace longsight::launch {

// An option or positional argument that was added: what else is asked of it.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option required() const;
  Option positive() const;                               // a number above 0
  Option one_of(const std::vector<std::string>&) const;  // the values it may have
  bool given() const;                                    // once the line is parsed

 private:
  CLI::Option* option_;
};

// A command with its options and commands below it; a handle, the line owns what it names.
class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}

  Command add_command(const std::string& name, const std::string& help) const;
  void require_command() const;  // one of those below it
  bool has_command() const;      // one of those below it was chosen, once the line is parsed

  // `name` is "--like-this", or without dashes a positional argument; a vector takes any number of values.
  // The variable keeps its value where the option is not given, and has to outlive the parsing.
  Option add_option(const std::string& name, std::string&, const std::string& help) const;
  Option add_option(const std::string& name, std::vector<std::string>&, const std::string& help) const;
  Option add_option(const std::string& name, i64&, const std::string& help) const;
  Option add_option(const std::string& name, std::optional<i64>&, const std::string& help) const;
  Option add_option(const std::string& name, double&, const std::string& help) const;
  void add_flag(const std::string& name, bool&, const std::string& help) const;

  // Called when the line chose this command, after its options have their values.
  void callback(std::function<void()>) const;

 private:
  CLI::App* app_;
};

class CommandLine {
 public:
  // version: called for what --version prints.
  CommandLine(const std::string& description, const std::string& program,
              std::function<std::string()> version);
  ~CommandLine();

  Command root() const;
  // The arguments behind the program's name. Returns the text to print where they ask for help or the
  // version. Throws usage.
  std::optional<std::string> parse(const std::vector<std::string>& arguments);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace longsight::launch
