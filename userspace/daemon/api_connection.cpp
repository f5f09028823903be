// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/api_connection.h"

#include "userspace/telemetry/json.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace {

constexpr std::uint32_t header_limit = 16 * 1024;
constexpr std::uint64_t body_limit = 64 * 1024;
constexpr std::uint64_t policy_limit = 64 * 1024 * 1024;
constexpr std::uint64_t reader_policy_limit = 1024 * 1024; // of a peer that may not change policies
constexpr unsigned most_connections = 64;
constexpr unsigned kept_for_changers = 8; // so that readers cannot lock root out
constexpr unsigned most_metrics_connections = 16;
constexpr unsigned most_large_bodies = 2; // so that clients cannot make us hold gigabytes
constexpr auto patience = std::chrono::seconds(30);
constexpr std::size_t stream_batch = 64 * 1024;

// Root or the daemon's own user, by what the kernel says of the peer.
bool peer_may_change(int descriptor) {
    ucred peer{};
    socklen_t length = sizeof peer;
    return ::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == ::geteuid());
}

// Counts one connection for as long as it lives, and lets the server close it.
class Registration {
  public:
    Registration(std::shared_ptr<ApiShared> shared, unsigned &count, std::function<void()> close)
        : shared_(std::move(shared)), count_(count) {
        ++count_;
        shared_->open[this] = std::move(close);
    }
    ~Registration() {
        --count_;
        shared_->open.erase(this);
    }
    Registration(const Registration &) = delete;
    Registration &operator=(const Registration &) = delete;

  private:
    std::shared_ptr<ApiShared> shared_;
    unsigned &count_;
};

struct LargeBody { // holds one of the few places for large bodies
    explicit LargeBody(std::shared_ptr<ApiShared> server) : shared(std::move(server)) {
        ++shared->large_bodies;
    }
    ~LargeBody() { --shared->large_bodies; }
    LargeBody(const LargeBody &) = delete;
    LargeBody &operator=(const LargeBody &) = delete;
    std::shared_ptr<ApiShared> shared;
};

template <typename Protocol> class Connection {
  public:
    Connection(typename Protocol::socket socket, std::shared_ptr<ApiShared> shared, bool metrics_only)
        : stream_(std::move(socket)), shared_(std::move(shared)), metrics_only_(metrics_only),
          registration_(shared_, metrics_only ? shared_->metrics_connections : shared_->connections,
                        [this] { close(); }) {
        if constexpr (std::is_same_v<Protocol, asio::local::stream_protocol>)
            may_change_ = peer_may_change(stream_.socket().native_handle());
    }

    asio::awaitable<void> run() {
        if (too_many()) {
            co_await send(error_answer(503, "too many clients"), false);
            co_return;
        }
        bool keep = true;
        while (keep && !shared_->stopping)
            keep = co_await serve_one();
        boost::system::error_code ignored;
        stream_.socket().shutdown(Protocol::socket::shutdown_send, ignored);
    }

  private:
    using Parser = http::request_parser<http::string_body>;

    // This connection is counted already.
    bool too_many() const {
        if (metrics_only_)
            return shared_->metrics_connections > most_metrics_connections;
        return shared_->connections > most_connections + (may_change_ ? kept_for_changers : 0);
    }

    void close() {
        boost::system::error_code ignored;
        stream_.socket().close(ignored);
    }

    // One request and its answer; false: the connection ends.
    asio::awaitable<bool> serve_one() {
        Parser parser;
        parser.header_limit(header_limit);
        parser.body_limit(policy_limit);
        boost::system::error_code error;
        stream_.expires_after(patience);
        co_await http::async_read_header(stream_, buffer_, parser,
                                         asio::redirect_error(asio::use_awaitable, error));
        if (error == http::error::body_limit)
            co_return co_await send(error_answer(413, "the body is over 64 MiB"), false);
        if (error == http::error::header_limit)
            co_return co_await send(error_answer(400, "malformed request: the head is over 16 KiB"), false);
        if (error && error.category() == http::make_error_code(http::error::bad_method).category() &&
            error != http::error::end_of_stream && error != http::error::partial_message)
            co_return co_await send(error_answer(400, "malformed request: " + error.message()), false);
        if (error)
            co_return false; // closed, timed out or stopping

        ApiRequest request;
        request.method = std::string(parser.get().method_string());
        request.metrics_only = metrics_only_;
        request.may_change = may_change_;
        const auto target = parser.get().target();
        if (const auto fault = parse_target({target.data(), target.size()}, request))
            co_return co_await send(error_answer(400, *fault), false);

        std::optional<LargeBody> large;
        if (!co_await read_body(parser, request, large))
            co_return false;
        const bool keep = parser.get().keep_alive();
        ApiAnswer answer;
        try {
            answer = co_await shared_->handler(std::move(request));
        } catch (const std::exception &broken) { // an invariant of ours: this request fails, the daemon lives
            shared_->logger.error("api request failed", {{"error", broken.what()}});
            answer = error_answer(500, broken.what());
        }
        if (answer.events) {
            co_await stream_events(*answer.events);
            co_return false;
        }
        co_return co_await send(answer, keep);
    }

    asio::awaitable<bool> read_body(Parser &parser, ApiRequest &request, std::optional<LargeBody> &large) {
        const bool policy_text = !metrics_only_ && request.method == "POST" && request.path.size() >= 2 &&
                                 request.path[0] == "v1" && request.path[1] == "policies";
        const auto length = parser.content_length().value_or(parser.chunked() ? body_limit + 1 : 0);
        if (!policy_text && parser.content_length() && length > body_limit) {
            co_await send(error_answer(413, "the body is over 64 KiB"), false);
            co_return false;
        }
        const std::uint64_t policy_most = may_change_ ? policy_limit : reader_policy_limit;
        if (policy_text && parser.content_length() && length > policy_most) {
            co_await send(
                error_answer(413, "the body is over 1 MiB, the most that is judged for others than root"),
                false);
            co_return false;
        }
        if (policy_text && may_change_ && length > body_limit) {
            if (shared_->large_bodies >= most_large_bodies) {
                co_await send(error_answer(503, "too many clients send large policies"), false);
                co_return false;
            }
            large.emplace(shared_);
        }
        parser.body_limit(policy_text ? policy_most : body_limit);
        boost::system::error_code error;
        if (beast::iequals(parser.get()[http::field::expect], "100-continue"))
            co_await asio::async_write(stream_,
                                       asio::buffer(std::string_view("HTTP/1.1 100 Continue\r\n\r\n")),
                                       asio::redirect_error(asio::use_awaitable, error));
        co_await http::async_read(stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
        if (error == http::error::body_limit)
            co_await send(error_answer(413, "the body is too large"), false);
        else if (error && error.category() == http::make_error_code(http::error::bad_method).category())
            co_await send(error_answer(400, "malformed request: " + error.message()), false);
        if (error)
            co_return false;
        const auto type = parser.get()[http::field::content_type];
        request.content_type = std::string(type.data(), type.size());
        request.body = std::move(parser.get().body());
        co_return true;
    }

    asio::awaitable<bool> send(ApiAnswer answer, bool keep) {
        http::response<http::string_body> response(http::int_to_status(answer.status), 11);
        response.set(http::field::server, "penstockd");
        response.set(http::field::content_type, answer.content_type);
        if (!answer.allow.empty())
            response.set(http::field::allow, answer.allow);
        response.keep_alive(keep);
        response.body() = std::move(answer.body);
        response.prepare_payload();
        boost::system::error_code error;
        stream_.expires_after(patience);
        co_await http::async_write(stream_, response, asio::redirect_error(asio::use_awaitable, error));
        co_return keep && !error;
    }

    asio::awaitable<void> stream_events(EventStream wanted) {
        boost::system::error_code error;
        http::response<http::empty_body> head(http::status::ok, 11);
        head.set(http::field::server, "penstockd");
        head.set(http::field::content_type, "application/x-ndjson");
        head.keep_alive(false);
        head.chunked(true);
        http::response_serializer<http::empty_body> serializer(head);
        stream_.expires_after(patience);
        co_await http::async_write_header(stream_, serializer,
                                          asio::redirect_error(asio::use_awaitable, error));
        telemetry::EventPlace place = wanted.from->begin();
        const std::uint64_t last = wanted.from->end(); // without follow: what is there now
        while (!error && !shared_->stopping) {
            const std::string lines = next_lines(wanted, place, wanted.follow ? UINT64_MAX : last);
            if (!lines.empty()) {
                stream_.expires_after(patience); // a reader that takes nothing for so long is dropped
                co_await asio::async_write(stream_, http::make_chunk(asio::buffer(lines)),
                                           asio::redirect_error(asio::use_awaitable, error));
            } else if (!wanted.follow) {
                break;
            } else if (place.position >= wanted.from->end() && co_await wait_for_events()) {
                co_return; // the client closed
            }
        }
        if (!error)
            co_await asio::async_write(stream_, http::make_chunk_last(),
                                       asio::redirect_error(asio::use_awaitable, error));
    }

    std::string next_lines(const EventStream &wanted, telemetry::EventPlace &place, std::uint64_t last) {
        std::string lines;
        while (lines.size() < stream_batch && place.position < last) {
            const auto event = wanted.from->next(place);
            if (!event)
                break;
            const bool lost = event->kind == telemetry::event_lost;
            const bool denied = event->verdict == abi::PS_DENY || event->verdict == abi::PS_WOULD_DENY;
            if (lost || ((!wanted.denied_only || denied) &&
                         (!wanted.container || event->cgroup_id == *wanted.container)))
                lines += telemetry::event_line(*event);
        }
        return lines;
    }

    // True if the client closed (or talks, which a stream has no place for) before an event came.
    asio::awaitable<bool> wait_for_events() {
        using namespace asio::experimental::awaitable_operators;
        boost::system::error_code timer_error, socket_error;
        stream_.expires_never();
        const auto first = co_await (
            shared_->events_added.async_wait(asio::redirect_error(asio::use_awaitable, timer_error)) ||
            stream_.socket().async_wait(Protocol::socket::wait_read,
                                        asio::redirect_error(asio::use_awaitable, socket_error)));
        co_return first.index() == 1 || shared_->stopping;
    }

    beast::basic_stream<Protocol> stream_;
    std::shared_ptr<ApiShared> shared_;
    bool metrics_only_, may_change_ = false;
    beast::flat_buffer buffer_;
    Registration registration_;
};

} // namespace

asio::awaitable<void> serve_connection(asio::local::stream_protocol::socket socket,
                                       std::shared_ptr<ApiShared> shared, bool metrics_only) {
    Connection<asio::local::stream_protocol> connection(std::move(socket), std::move(shared), metrics_only);
    co_await connection.run();
}

asio::awaitable<void> serve_connection(asio::ip::tcp::socket socket, std::shared_ptr<ApiShared> shared,
                                       bool metrics_only) {
    Connection<asio::ip::tcp> connection(std::move(socket), std::move(shared), metrics_only);
    co_await connection.run();
}

} // namespace penstock::daemon
