// SPDX-License-Identifier: Apache-2.0
// Log lines to stderr, as text or as JSON lines. An object that is handed around, not a global; may be used by any thread.
#pragma once

#include "userspace/base/result.h"

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace penstock {

enum class LogLevel { debug, info, warning, error };
enum class LogFormat { text, json };

Result<LogLevel> parse_log_level(std::string_view);   // "debug" "info" "warning" "error"
Result<LogFormat> parse_log_format(std::string_view); // "text" "json"

struct LogField {
    std::string_view name;
    std::string value;
};
using LogFields = std::initializer_list<LogField>;

class Log {
  public:
    Log(LogLevel, LogFormat);
    Log(Log &&) noexcept;
    Log &operator=(Log &&) noexcept;
    ~Log();

    // `message` is one sentence that does not vary; what varies are fields.
    void write(LogLevel, std::string_view message, LogFields fields = {}) const;
    void debug(std::string_view message, LogFields fields = {}) const {
        write(LogLevel::debug, message, fields);
    }
    void info(std::string_view message, LogFields fields = {}) const {
        write(LogLevel::info, message, fields);
    }
    void warning(std::string_view message, LogFields fields = {}) const {
        write(LogLevel::warning, message, fields);
    }
    void error(std::string_view message, LogFields fields = {}) const {
        write(LogLevel::error, message, fields);
    }

  private:
    struct Sink;
    std::unique_ptr<Sink> sink_;
};

// One line without its end, as written: for tests and for other sinks.
std::string format_log_line(LogFormat, LogLevel, std::string_view time, std::string_view message, LogFields);

} // namespace penstock
