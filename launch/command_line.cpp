#include "launch/command_line.h"

#include <CLI/CLI.hpp>
#include <sstream>

#include "runtime/base/error.h"
#include "runtime/base/suggest.h"

namespace longsight::launch {
namespace {

// CLI11 says only that a command is required.
void refuse_unknown_command(const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* at = &app;
  for (const std::string& argument : arguments) {
    if (at->get_subcommands({}).empty() || argument.starts_with('-')) return;
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* command : at->get_subcommands({})) {
      names.push_back(command->get_name());
      if (command->get_name() == argument) next = command;
    }
    require(next != nullptr, ExitCode::usage,
            "unknown command \"{}\"{} (longsight{} --help lists the commands)", argument,
            did_you_mean(argument, names), at == &app ? "" : " " + at->get_name());
    at = next;
  }
}

}  // namespace

Option Option::required() const {
  option_->required();
  return *this;
}
Option Option::positive() const {
  option_->check([](const std::string& text) {
    double number = 0;
    return CLI::detail::lexical_cast(text, number) && number > 0 ? "" : text + " is not a number above 0";
  });
  return *this;
}
Option Option::one_of(const std::vector<std::string>& values) const {
  option_->check(CLI::IsMember(values));
  return *this;
}
bool Option::given() const {
  return option_->count() > 0;
}

Command Command::add_command(const std::string& name, const std::string& help) const {
  return Command(app_->add_subcommand(name, help));
}
void Command::require_command() const {
  app_->require_subcommand(1);
}
bool Command::has_command() const {
  return !app_->get_subcommands().empty();
}

Option Command::add_option(const std::string& name, std::string& value, const std::string& help) const {
  return Option(app_->add_option(name, value, help));
}
Option Command::add_option(const std::string& name, std::vector<std::string>& values,
                           const std::string& help) const {
  return Option(app_->add_option(name, values, help));
}
Option Command::add_option(const std::string& name, i64& value, const std::string& help) const {
  return Option(app_->add_option(name, value, help));
}
Option Command::add_option(const std::string& name, std::optional<i64>& value,
                           const std::string& help) const {
  return Option(app_->add_option(name, value, help));
}
Option Command::add_option(const std::string& name, double& value, const std::string& help) const {
  return Option(app_->add_option(name, value, help));
}
void Command::add_flag(const std::string& name, bool& value, const std::string& help) const {
  app_->add_flag(name, value, help);
}
void Command::callback(std::function<void()> called) const {
  app_->callback(std::move(called));
}

CommandLine::CommandLine(const std::string& description, const std::string& program,
                         std::function<std::string()> version)
    : app_(std::make_unique<CLI::App>(description, program)) {
  app_->set_version_flag("--version", std::move(version), "print which program this is and stop");
  app_->require_subcommand(1);
}
CommandLine::~CommandLine() = default;

Command CommandLine::root() const {
  return Command(app_.get());
}

std::optional<std::string> CommandLine::parse(const std::vector<std::string>& arguments) {
  refuse_unknown_command(*app_, arguments);
  try {
    app_->parse(
        std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
    return std::nullopt;
  } catch (const CLI::Success& help) {
    std::ostringstream text;
    app_->exit(help, text, text);
    return text.str();
  } catch (const CLI::ParseError& error) {
    fail(ExitCode::usage, "{} (longsight --help lists the commands, longsight COMMAND --help its options)",
         error.what());
  }
}

}  // namespace longsight::launch
