// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/log.h"

#include "userspace/base/clock.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace penstock {
namespace {

constexpr std::array<std::string_view, 4> level_names{"debug", "info", "warning", "error"};

spdlog::level::level_enum spdlog_level(LogLevel level) {
    constexpr std::array levels{spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                spdlog::level::err};
    return levels[static_cast<std::size_t>(level)];
}

// As in a JSON string; also what keeps a name with a newline from forging a line of text.
std::string escape(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            char code[8];
            std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
            out += code;
        } else {
            out += c;
        }
    }
    return out;
}

bool is_plain(std::string_view value) {
    return !value.empty() && value.find_first_of(" \"\\=") == std::string_view::npos &&
           escape(value) == value;
}

} // namespace

Result<LogLevel> parse_log_level(std::string_view name) {
    for (std::size_t i = 0; i < level_names.size(); i++)
        if (level_names[i] == name)
            return static_cast<LogLevel>(i);
    return Error{"log level '" + std::string(name) + "' is not debug, info, warning or error", EINVAL};
}

Result<LogFormat> parse_log_format(std::string_view name) {
    if (name == "text")
        return LogFormat::text;
    if (name == "json")
        return LogFormat::json;
    return Error{"log format '" + std::string(name) + "' is not text or json", EINVAL};
}

std::string format_log_line(LogFormat format, LogLevel level, std::string_view time, std::string_view message,
                            LogFields fields) {
    const std::string_view name = level_names[static_cast<std::size_t>(level)];
    std::string line;
    if (format == LogFormat::json) {
        line.append("{\"time\":\"")
            .append(time)
            .append("\",\"level\":\"")
            .append(name)
            .append("\",\"message\":\"");
        line.append(escape(message)).append("\"");
        for (const LogField &field : fields)
            line.append(",\"")
                .append(escape(field.name))
                .append("\":\"")
                .append(escape(field.value))
                .append("\"");
        return line + "}";
    }
    line.append(time).append(" ").append(name).append(": ").append(escape(message));
    for (const LogField &field : fields) {
        line.append(" ").append(field.name).append("=");
        line.append(is_plain(field.value) ? field.value : "\"" + escape(field.value) + "\"");
    }
    return line;
}

struct Log::Sink {
    spdlog::logger logger;
    LogFormat format;
};

Log::Log(LogLevel level, LogFormat format)
    : sink_(new Sink{spdlog::logger("penstock", std::make_shared<spdlog::sinks::stderr_sink_mt>()), format}) {
    sink_->logger.set_pattern("%v");
    sink_->logger.set_level(spdlog_level(level));
}
Log::Log(Log &&) noexcept = default;
Log &Log::operator=(Log &&) noexcept = default;
Log::~Log() = default;

void Log::write(LogLevel level, std::string_view message, LogFields fields) const {
    if (sink_->logger.should_log(spdlog_level(level)))
        sink_->logger.log(spdlog_level(level), "{}",
                          format_log_line(sink_->format, level, rfc3339(wall_ns()), message, fields));
}

} // namespace penstock
