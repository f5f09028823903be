// SPDX-License-Identifier: Apache-2.0
// See client.h. One coroutine a request, on an io_context of its own: Beast's timeouts need asynchronous calls.
#include "userspace/cli/client.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <array>
#include <cstdint>
#include <optional>

namespace penstock::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Stream = beast::basic_stream<asio::local::stream_protocol>;
using Parser = http::response_parser<http::buffer_body>;
using LineHandler = std::function<bool(std::string_view)>;

constexpr auto await = asio::as_tuple(asio::use_awaitable);
constexpr std::uint64_t longest_answer = std::uint64_t{1} << 30;
constexpr std::size_t longest_line = std::size_t{1} << 20;
constexpr std::size_t longest_socket_path = 107;

// A fault of the exchange: what was tried, and the error.
struct Fault {
    const char *what = nullptr;
    error_code code;
};

// Hands out whole lines of a text that arrives in pieces.
class LineSplitter {
  public:
    explicit LineSplitter(const LineHandler &on_line) : on_line_(on_line) {}

    // False: the handler wants no more.
    bool add(std::string_view piece) {
        pending_ += piece;
        std::size_t start = 0;
        for (std::size_t end; (end = pending_.find('\n', start)) != std::string::npos; start = end + 1)
            if (end > start && !on_line_(std::string_view(pending_).substr(start, end - start)))
                return false;
        pending_.erase(0, start);
        return true;
    }
    bool too_long() const { return pending_.size() > longest_line; } // no event is

  private:
    const LineHandler &on_line_;
    std::string pending_;
};

class Exchange {
  public:
    Exchange(asio::io_context &context, const std::string &path, std::chrono::seconds timeout)
        : stream_(context.get_executor()), path_(path), timeout_(timeout) {
        parser_.body_limit(longest_answer);
    }

    asio::awaitable<void> run(const Request &request, const LineHandler *on_line) {
        stream_.expires_after(timeout_);
        auto [connect_error] =
            co_await stream_.async_connect(asio::local::stream_protocol::endpoint(path_), await);
        if (connect_error)
            co_return fail("connect to", connect_error);
        http::request<http::string_body> message;
        message.method_string(request.method);
        message.target(request.target);
        message.set(http::field::host, "penstock");
        message.set(http::field::connection, "close");
        if (!request.content_type.empty())
            message.set(http::field::content_type, request.content_type);
        message.body() = request.body;
        message.prepare_payload();
        // A daemon that refuses a long body early answers and closes: the answer counts, not the failed send.
        auto [write_error, written] = co_await http::async_write(stream_, message, await);
        auto [read_error, read] = co_await http::async_read_header(stream_, buffer_, parser_, await);
        if (read_error)
            co_return fail(write_error ? "send to" : "read from", write_error ? write_error : read_error);
        response.status = parser_.get().result_int();
        const bool streaming = on_line != nullptr && response.status == 200;
        if (streaming)
            stream_.expires_never();
        co_await read_body(streaming ? on_line : nullptr);
    }

    std::optional<Fault> fault;
    Response response;

  private:
    asio::awaitable<void> read_body(const LineHandler *on_line) {
        static const LineHandler ignore = [](std::string_view) { return true; };
        LineSplitter lines(on_line != nullptr ? *on_line : ignore);
        std::array<char, 16384> piece{};
        while (!parser_.is_done()) {
            parser_.get().body().data = piece.data();
            parser_.get().body().size = piece.size();
            auto [error, read] = co_await http::async_read_some(stream_, buffer_, parser_, await);
            if (error && error != http::error::need_buffer)
                co_return fail("read from", error);
            const std::string_view text(piece.data(), piece.size() - parser_.get().body().size);
            if (on_line == nullptr)
                response.body += text;
            else if (!lines.add(text))
                co_return;
            if (lines.too_long())
                co_return fail("read from", make_error_code(boost::system::errc::message_size));
        }
    }

    void fail(const char *what, error_code code) { fault = Fault{what, code}; }

    Stream stream_;
    const std::string &path_;
    std::chrono::seconds timeout_;
    beast::flat_buffer buffer_;
    Parser parser_;
};

Result<Response> run_exchange(const std::string &path, std::chrono::seconds timeout, const Request &request,
                              const LineHandler *on_line) {
    if (path.empty() || path.size() > longest_socket_path)
        return Error{"socket path '" + path + "' must have 1 to 107 octets", ENAMETOOLONG};
    asio::io_context context(1);
    Exchange exchange(context, path, timeout);
    asio::co_spawn(context, exchange.run(request, on_line), [](const std::exception_ptr &broken) {
        if (broken)
            std::rethrow_exception(broken);
    });
    context.run();
    if (!exchange.fault)
        return std::move(exchange.response);
    const Fault &fault = *exchange.fault;
    const bool system = fault.code.category() == boost::system::system_category();
    return Error{std::string("cannot ") + fault.what + " the daemon at " + path + ": " + fault.code.message(),
                 system ? fault.code.value() : EPROTO};
}

} // namespace

Result<Response> Client::send(const Request &request) const {
    return run_exchange(socket_path_, timeout_, request, nullptr);
}

Result<Response> Client::stream(const Request &request, const LineHandler &on_line) const {
    return run_exchange(socket_path_, timeout_, request, &on_line);
}

std::string percent_encoded(std::string_view text) {
    constexpr std::string_view unreserved =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char character : text) {
        const auto octet = static_cast<unsigned char>(character);
        if (unreserved.find(character) != std::string_view::npos)
            out += character;
        else
            (out += '%') += {digits[octet >> 4], digits[octet & 15]};
    }
    return out;
}

} // namespace penstock::cli
